//! The edge of Longshore: what faces people, devices and the operating system. The engine behind it is
//! `longshore-actors`.

pub mod boot;
pub mod cli;
mod data;
mod http;
mod identity;
mod storage;
mod telemetry;
mod tls;
