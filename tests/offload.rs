//! The agent and the server: whole cards of real video.
