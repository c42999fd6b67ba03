//! `clientela health`: checks for scripts whether the server serves.

use clap::Args;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{connection::Connection, failure::Failure, output};

/// Asks the server whether it serves; exit code 0 only if it does
#[derive(Debug, Args)]
pub struct Health {
    /// The service to ask about, for example `clientela.v1.CartService`; by default the whole server
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

impl Health {
    pub async fn run(self) -> Result<(), Failure> {
        let mut client = HealthClient::new(self.connection.open_without_key().await?);
        let request = HealthCheckRequest {
            service: self.service,
        };
        let status = client.check(request).await?.into_inner().status();
        if status == ServingStatus::Serving {
            return output::print("serving\n");
        }
        Err(Failure::new(format!(
            "not serving ({})",
            status.as_str_name()
        )))
    }
}
