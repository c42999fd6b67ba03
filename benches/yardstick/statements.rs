//! The product's statements on PostgreSQL through sqlx's pool, behind the echo.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr as _;
use std::sync::Arc;
use std::task::{Context, Poll};

use clientela::proto::pb;
use prost::Message as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool};
use std::collections::HashMap;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::NamedService;

use super::row::{ALL, CartRow, READ_ON_POSTGRES, add_item};
use super::{Answer, unary};

/// The number of connections that the product has for the writes of calls. It has fewer for their reads.
const CONNECTIONS: u32 = 16;

/// The statement with which the product reads a customer for a storefront.
const FIND: &str = "SELECT c.id, c.version, c.doc,
        (SELECT v.last_visit_time FROM visits v
            WHERE v.shop_id = c.shop_id AND v.customer_id = c.id) AS last_visit_time,
        CASE WHEN c.birth_date <> '' THEN (SELECT s.doc FROM shops s WHERE s.id = c.shop_id) END
            AS shop_doc,
        (SELECT string_agg(g.id, ',') FROM membership_grants m
            JOIN groups g ON g.shop_id = m.shop_id AND g.id = m.group_id AND g.state <> 2
            WHERE m.shop_id = c.shop_id AND m.customer_id = c.id) AS visible_groups
    FROM customers c WHERE c.shop_id = $1 AND c.id = $2";

/// The two services.
pub struct StatementLoop;

impl StatementLoop {
    /// Connects to a database that the product made.
    pub async fn start(
        url: &str,
        customer: &[u8],
        cart: &[u8],
    ) -> anyhow::Result<(Customers, Carts)> {
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        let rows: Vec<CartRow> = sqlx::query_as(ALL).fetch_all(&pool).await?;
        let rows = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let customers = Customers(Arc::new(CustomersState {
            pool: pool.clone(),
            answer: pb::Customer::decode(customer)?,
        }));
        let carts = Carts(Arc::new(CartsState {
            pool,
            rows,
            answer: pb::Cart::decode(cart)?,
            payload: cart.to_vec(),
        }));
        Ok((customers, carts))
    }
}

/// Answers GetCustomer.
#[derive(Clone)]
pub struct Customers(Arc<CustomersState>);

struct CustomersState {
    pool: PgPool,
    answer: pb::Customer,
}

/// Answers AddItem.
#[derive(Clone)]
pub struct Carts(Arc<CartsState>);

struct CartsState {
    pool: PgPool,
    rows: HashMap<String, CartRow>,
    answer: pb::Cart,
    payload: Vec<u8>,
}

impl CustomersState {
    async fn get(&self, name: &str) -> sqlx::Result<pb::Customer> {
        let id = name.trim_start_matches("customers/");
        let row = sqlx::query(FIND)
            .bind("default")
            .bind(id)
            .fetch_one(&self.pool)
            .await?;
        let _: &str = sqlx::Row::try_get(&row, "doc")?;
        Ok(self.answer.clone())
    }
}

impl CartsState {
    async fn add(&self, name: &str) -> sqlx::Result<pb::Cart> {
        let row = &self.rows[name.trim_start_matches("carts/")];
        let mut connection = self.pool.acquire().await?;
        let connection = &mut *connection;
        let mut key = DefaultHasher::new();
        row.id.hash(&mut key);
        let lock = key.finish().cast_signed();
        // The product locks the cart and the request id.
        let other: i64 = rand::random();
        let begin = format!(
            "BEGIN; SELECT pg_advisory_xact_lock({lock}); SELECT pg_advisory_xact_lock({other})"
        );
        sqlx::raw_sql(AssertSqlSafe(begin))
            .execute(&mut *connection)
            .await?;
        add_item!(connection, READ_ON_POSTGRES, row, &self.payload);
        sqlx::raw_sql("COMMIT").execute(connection).await?;
        Ok(self.answer.clone())
    }
}

fn internal(error: sqlx::Error) -> Status {
    Status::internal(error.to_string())
}

impl NamedService for Customers {
    const NAME: &'static str = "clientela.v1.CustomerService";
}

impl NamedService for Carts {
    const NAME: &'static str = "clientela.v1.CartService";
}

impl tower::Service<http::Request<Body>> for Customers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        unary(request, move |sent: pb::GetCustomerRequest| {
            let state = Arc::clone(&state);
            async move { state.get(&sent.name).await.map_err(internal) }
        })
    }
}

impl tower::Service<http::Request<Body>> for Carts {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        unary(request, move |sent: pb::AddItemRequest| {
            let state = Arc::clone(&state);
            async move {
                let name = match sent.target.and_then(|target| target.target) {
                    Some(pb::cart_target::Target::Cart(name)) => name,
                    _ => return Err(Status::invalid_argument("a cart is named")),
                };
                state.add(&name).await.map_err(internal)
            }
        })
    }
}
