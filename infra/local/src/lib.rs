//! Dialpool on one machine: the stack of `infra/template.yaml` in one process, with nothing else installed.

pub mod engine;
pub mod simulator;
pub mod template;
