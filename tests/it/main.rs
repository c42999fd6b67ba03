//! The tests of the whole program, in one binary: a harness and a file per area.

mod harness;
mod throwaway_postgres;
