//! Pieces of pages: they take values and signals, and never fetch.

pub mod chart;
pub mod conditions;
pub mod copy;
pub mod dialog;
pub mod event_line;
pub mod fields;
pub mod gauge;
pub mod icon;
pub mod map;
pub mod pill;
pub mod problems;
pub mod segments;
pub mod states;
pub mod time;
pub mod toast;
