//! Several servers on one PostgreSQL: their hints, what holds their feed back, how streams spread over
//! them, and the doctor who looks at it.

mod age;
mod balancing;
mod clocks;
mod doctor;
mod hints;
mod horizon;
mod nats;
