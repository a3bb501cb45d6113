//! The edge of Longshore: what faces people, devices and the operating system. The engine behind it is
//! `longshore-actors`.

mod boot;
mod certificate;
pub mod cli;
pub mod config;
mod data;
mod health_types;
mod http;
mod identity;
mod models;
mod reload;
mod storage;
mod telemetry;
mod tls;
mod webhook;
