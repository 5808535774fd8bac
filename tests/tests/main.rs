//! The specification, by example: one program, so that it is linked once and all of it runs side by side.

mod assistants;
mod bad_input;
mod callbacks;
mod calling;
mod companies;
mod events;
mod exports;
mod faults;
mod flow;
mod inventory;
mod limits;
mod money;
mod numbers;
mod pool;
mod sweep;
mod tasks;
mod upload;
mod webhooks;
