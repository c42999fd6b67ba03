//! Background work on both engines: asked for once, done once, whoever dies on the way.

mod compaction;
mod work;
