//! Black-box tests: the real binaries, over the real protocol, on real files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod arrows;
mod bad_input;
mod bare_clients;
mod campaign;
mod certificate;
mod command_line;
mod concatenation;
mod configuration;
mod demo;
mod documents;
mod enrolment;
mod expiry;
mod foreign_clients;
mod fuzz;
mod interruption;
mod limits;
mod offload;
mod rates;
mod repair;
mod requests;
mod restarts;
mod rufh;
mod sequences;
mod slow;
mod space;
mod standing;
mod storage;
mod supervision;
mod support;
mod transfer;
mod tus;
mod verify;
mod worked_example;
