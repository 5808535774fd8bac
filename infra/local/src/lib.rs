//! Dialpool on one machine: the stack of `infra/template.yaml` in one process, with nothing else installed.

pub mod audit;
mod campaign_view;
pub mod demo;
pub mod engine;
pub mod entrance;
pub mod import;
mod listen;
pub mod local;
mod pool_view;
pub mod serve;
pub mod simulator;
pub mod stack;
pub mod template;
