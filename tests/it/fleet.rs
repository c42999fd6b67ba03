//! Tests several servers on one PostgreSQL: their hints, transactions that hold the feed back, the spread of
//! streams, and the doctor.

mod age;
mod balancing;
mod clocks;
mod doctor;
mod hints;
mod horizon;
mod nats;
