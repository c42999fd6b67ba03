//! Follows the figures of carts; `clientela watch figures` prints them.

use tonic::{Status, Streaming};

use crate::proto::pb::{self, CartFigures, WatchCartFiguresResponse};

use super::{
    super::{backoff::Backoff, connection::Client, failure::Failure, output},
    follower::Link,
    is_final,
    lines::Notes,
    next,
};

/// News for a listener of figures.
#[derive(Debug)]
pub enum FiguresNews {
    /// The present figures.
    Figures(CartFigures),
    /// The connection was lost or came back.
    Link(Link),
}

/// Prints a line whenever the figures change.
pub async fn print(client: Client, json: bool) -> Result<(), Failure> {
    let mut notes = Notes::default();
    follow(client, |news| {
        match news {
            FiguresNews::Figures(figures) => {
                let text = match json {
                    true => output::json(&figures)?,
                    false => line(&figures),
                };
                output::print(&text)?;
            }
            FiguresNews::Link(link) => notes.link(&link),
        }
        Ok(())
    })
    .await
}

/// Follows the figures across any number of connections, until the server refuses for good.
pub async fn follow(
    client: Client,
    mut listener: impl FnMut(FiguresNews) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut shown = None;
    let mut backoff = Backoff::new();
    // A watch that cannot even begin has a cause that waiting will hardly remove.
    let mut stream = open(&client).await?;
    loop {
        let mut ended = read(&mut stream, &mut backoff, &mut shown, &mut listener).await?;
        stream = loop {
            if is_final(&ended) {
                return Err(ended.into());
            }
            listener(FiguresNews::Link(Link::lost(&ended)))?;
            tokio::time::sleep(backoff.wait()).await;
            match open(&client).await {
                Ok(stream) => {
                    listener(FiguresNews::Link(Link::Back))?;
                    break stream;
                }
                Err(status) => ended = status,
            }
        };
    }
}

async fn open(client: &Client) -> Result<Streaming<WatchCartFiguresResponse>, Status> {
    let request = pb::WatchCartFiguresRequest::default();
    Ok(client
        .carts()
        .watch_cart_figures(request)
        .await?
        .into_inner())
}

/// Passes new figures to the listener. Returns the status with which the stream ended.
async fn read(
    stream: &mut Streaming<WatchCartFiguresResponse>,
    backoff: &mut Backoff,
    shown: &mut Option<CartFigures>,
    listener: &mut impl FnMut(FiguresNews) -> Result<(), Failure>,
) -> Result<Status, Failure> {
    loop {
        let message = match next(stream).await {
            Ok(message) => message,
            Err(ended) => return Ok(ended),
        };
        backoff.reset();
        let Some(figures) = message.figures else {
            continue;
        };
        let timeless = Some(CartFigures {
            time: None,
            ..figures.clone()
        });
        if *shown == timeless {
            continue;
        }
        *shown = timeless;
        listener(FiguresNews::Figures(figures))?;
    }
}

fn line(figures: &CartFigures) -> String {
    let time = figures.time.as_ref().map(output::time_of_day);
    let mut text = format!(
        "{}  {} open: {} filling, {} idle, {} abandoned; online: {}, {}",
        time.unwrap_or_default(),
        figures.open_carts,
        figures.filling_carts,
        figures.idle_carts,
        figures.abandoned_carts,
        output::count(figures.customers_online, "customer"),
        output::count(figures.visitors_online, "visitor"),
    );
    for value in &figures.values {
        let (open, at_risk) = (value.open.as_ref(), value.at_risk.as_ref());
        text.push_str("; ");
        text.push_str(&output::money(open));
        if at_risk.is_some_and(|money| money.micros != 0) {
            text.push_str(&format!(" ({} at risk)", output::money(at_risk)));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_counts_and_the_values() {
        let euros = |euros: i64| {
            Some(pb::Money {
                currency_code: "EUR".to_owned(),
                micros: euros * 1_000_000,
            })
        };
        let figures = CartFigures {
            open_carts: 7,
            filling_carts: 4,
            idle_carts: 2,
            abandoned_carts: 1,
            customers_online: 3,
            visitors_online: 1,
            values: vec![pb::cart_figures::CurrencyValue {
                open: euros(120),
                at_risk: euros(20),
            }],
            ..CartFigures::default()
        };

        let line = line(&figures);

        let counts = "7 open: 4 filling, 2 idle, 1 abandoned; online: 3 customers, 1 visitor";
        assert!(line.contains(counts), "{line}");
        assert!(
            line.ends_with("; 120.00 EUR (20.00 EUR at risk)\n"),
            "{line}"
        );
    }
}
