//! inbox-worker
