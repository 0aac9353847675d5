//! # The house
//!
//! `openclaw` is one resident process on one thread. It keeps one port open, speaks the
//! OpenClaw gateway protocol and an OpenAI-compatible HTTP API on it, and runs agents
//! against a model provider. This page is the map; every room explains itself in its head.
//!
//! ```text
//!   sockets, signals, children, resolver            the disk
//!            |                                          |
//!        [reactor]      or      [sim]  --- the two      |
//!            |                    |        drivers  [store]
//!            +----- [driver] -----+                     |
//!             Input  v   ^ Effect                       |
//!                 [gateway]  --  [sessions] ------------+
//!               /     |      \
//!    [channels] [api] [agent] [protocol]   <- state machines without I/O
//!               \     |      /
//!        [auth] [config] [wire] [limits]
//! ```
//!
//! One direction: bytes come in as [`driver::Input`], the gateway decides, effects go out as
//! [`driver::Effect`]. No room but `reactor`, `store` and `cli` touches the outside, and
//! `tests/house.rs` reads every `use crate::` to keep it so.
//!
//! * [`driver`]: the seam: what a driver hands in and what a core may ask for.
//! * [`limits`]: every bound with its reason. [`protocol`]: the published wire types and the
//!   operations table.
//! * [`reactor`]: mio, sockets, TLS, signals, children, resolver. [`sim`]: the same seam over
//!   a seeded network, clock and disk.
//! * [`wire`]: pure codecs. [`config`]: from bytes to a validated snapshot. [`store`]: durable
//!   files. [`auth`]: who may enter.
//! * [`sessions`]: keys, index, transcripts. [`agent`]: one run as a state machine, providers.
//! * [`channels`]: chat services as state machines, and who may write where.
//! * [`gateway`]: connections, handshake, dispatch, events. [`api`]: the HTTP doors. [`ui`]: the
//!   control page.
//! * [`service`]: what a service manager is told: definitions, drift, commands, as pure text.
//! * [`cli`]: what an operator types.

pub mod agent;
pub mod api;
pub mod auth;
pub mod channels;
pub mod cli;
pub mod config;
pub mod driver;
pub mod gateway;
pub mod limits;
pub mod protocol;
pub mod reactor;
pub mod service;
pub mod sessions;
#[doc(hidden)]
pub mod sim;
pub mod store;
pub mod ui;
pub mod wire;
