//! Compiles the contract without protoc: messages and clients once, and the server traits apart, in
//! which the watch responses are bytes that were encoded once and are shared by all streams.

use std::{env, fs, path::PathBuf};

const PROTOS: [&str; 9] = [
    "clientela/v1/access.proto",
    "clientela/v1/admin_service.proto",
    "clientela/v1/cart_service.proto",
    "clientela/v1/common.proto",
    "clientela/v1/customer_service.proto",
    "clientela/v1/error_reason.proto",
    "clientela/v1/group_service.proto",
    "clientela/v1/operation_service.proto",
    "clientela/v1/saved_filter_service.proto",
];

const WATCH_RESPONSES: [&str; 4] = [
    "WatchCartsResponse",
    "WatchCustomersResponse",
    "WatchGroupsResponse",
    "WatchSavedFiltersResponse",
];

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(PROTOS)?;
    // These bytes keep the access options and the comments; re-encoding through prost drops options.
    fs::write(
        out.join("clientela.fds"),
        compiler.encode_file_descriptor_set(),
    )?;
    let descriptors = compiler.file_descriptor_set();

    let messages = out.join("messages");
    fs::create_dir_all(&messages)?;
    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    // The bytes of a resource are the same at every replica and after every restart.
    prost.btree_map(["."]);
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(&messages)
        .compile_fds_with_config(descriptors.clone(), prost)?;

    let services = out.join("services");
    fs::create_dir_all(&services)?;
    let mut server = tonic_prost_build::configure()
        .build_client(false)
        .out_dir(&services)
        .codec_path("crate::proto::Codec")
        .extern_path(".clientela.v1", "crate::proto::pb");
    for response in WATCH_RESPONSES {
        server = server.extern_path(format!(".clientela.v1.{response}"), "crate::feed::Frame");
    }
    server.compile_fds(descriptors)?;
    Ok(())
}
