//! Doors: ways in to the host. Each one only carries bytes and settings; what a command does is
//! decided behind them.

pub mod cli;
