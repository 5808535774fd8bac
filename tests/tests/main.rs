//! The specification, by example: one program, so that it is linked once and all of it runs side by side.

mod assistants;
mod bad_input;
mod callbacks;
mod calling;
mod claims;
mod companies;
mod dead_air;
mod events;
mod exports;
mod faults;
mod flow;
mod found_out;
mod http;
mod inbound;
mod inventory;
mod isolation;
mod limits;
mod money;
mod numbers;
mod pool;
mod sweep;
mod tasks;
mod unknown_ends;
mod upload;
mod webhooks;
mod withdrawals;
