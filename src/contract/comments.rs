//! The comments of the protos. They say which fields are required, output only or input only.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{FieldDescriptor, FileDescriptor};

/// The comments of the contract, by file and path.
#[derive(Default)]
pub(super) struct Comments {
    files: HashMap<String, Arc<HashMap<Vec<i32>, String>>>,
}

impl Comments {
    /// Returns the comment before a field; empty if there is none.
    pub(super) fn of(&mut self, field: &FieldDescriptor) -> String {
        let file = field.parent_file();
        let places = self
            .files
            .entry(file.name().to_owned())
            .or_insert_with(|| Arc::new(places(&file)));
        places.get(field.path()).cloned().unwrap_or_default()
    }
}

fn places(file: &FileDescriptor) -> HashMap<Vec<i32>, String> {
    let locations = file.file_descriptor_proto().source_code_info.iter();
    locations
        .flat_map(|info| &info.location)
        .map(|place| {
            (
                place.path.clone(),
                place.leading_comments().trim().to_owned(),
            )
        })
        .collect()
}
