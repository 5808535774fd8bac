//! call-dispatcher
