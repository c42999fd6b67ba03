//! A bare tonic echo that answers every GetCustomer with the same customer.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use clientela::proto::pb;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::NamedService;

use super::{Answer, unary};

/// The service.
#[derive(Clone)]
pub struct Echo(Arc<pb::Customer>);

impl Echo {
    /// Answers with this customer.
    pub fn new(customer: pb::Customer) -> Self {
        Self(Arc::new(customer))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "clientela.v1.CustomerService";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let customer = Arc::clone(&self.0);
        unary(request, move |_: pb::GetCustomerRequest| {
            let customer = pb::Customer::clone(&customer);
            async move { Ok(customer) }
        })
    }
}
