//! Compiles the contract without protoc, and generates a table of the calls for the transport.

use std::{env, fmt::Write as _, fs, path::PathBuf};

use prost_types::FileDescriptorSet;

const SERVICES: [&str; 6] = [
    "clientela/v1/admin_service.proto",
    "clientela/v1/cart_service.proto",
    "clientela/v1/customer_service.proto",
    "clientela/v1/group_service.proto",
    "clientela/v1/operation_service.proto",
    "clientela/v1/saved_filter_service.proto",
];
const REASONS: &str = "clientela/v1/error_reason.proto";

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(SERVICES)?
        .open_file(REASONS)?;
    // These bytes keep the options, and describe the contract to other programs.
    fs::write(
        out.join("clientela.fds"),
        compiler.encode_file_descriptor_set(),
    )?;
    let descriptors = compiler.file_descriptor_set();
    fs::write(out.join("methods.rs"), methods(&descriptors)?)?;
    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds_with_config(descriptors, prost)?;
    Ok(())
}

/// A function that returns, for the path of a call, whether it is unary, and the number of the field of the
/// request id.
fn methods(descriptors: &FileDescriptorSet) -> anyhow::Result<String> {
    let mut text = String::from("fn method(path: &str) -> Method {\n    match path {\n");
    for file in &descriptors.file {
        let package = file.package();
        for service in &file.service {
            for method in &service.method {
                let unary = !method.server_streaming() && !method.client_streaming();
                let id = file
                    .message_type
                    .iter()
                    .find(|message| method.input_type() == format!(".{package}.{}", message.name()))
                    .and_then(|message| {
                        message
                            .field
                            .iter()
                            .find(|field| field.name() == "request_id")
                    })
                    .map(|field| field.number());
                writeln!(
                    text,
                    "        \"/{package}.{}/{}\" => Method {{ unary: {unary}, request_id: {id:?} }},",
                    service.name(),
                    method.name(),
                )?;
            }
        }
    }
    text.push_str("        _ => Method { unary: false, request_id: None },\n    }\n}\n");
    Ok(text)
}
