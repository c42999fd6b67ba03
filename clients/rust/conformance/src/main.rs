//! Runs the story of all clients; see clients/conformance/README.md.

mod call;
mod watching;

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, Write as _},
    time::Duration,
};

use clientela_client::{
    Client,
    v1::{ListCustomersRequest, WatchCartFiguresRequest, WatchCartsRequest},
};
use futures::StreamExt as _;
use serde_json::{Map, Value};

use watching::Watching;

const PATIENCE: Duration = Duration::from_secs(60);

/// The reason why a step failed.
type Why = String;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let story = std::fs::read_to_string(std::env::var("CLIENTELA_STORY")?)?;
    let story: Value = serde_json::from_str(&story)?;
    let mut teller = Teller::default();
    for (name, value) in story["values"].as_object().into_iter().flatten() {
        let times = value["times"].as_u64().unwrap_or(1) as usize;
        let text = value["text"].as_str().unwrap_or_default().repeat(times);
        teller.saved.insert(name.clone(), text);
    }
    for step in story["steps"].as_array().into_iter().flatten() {
        let sentence = step["step"].as_str().unwrap_or_default();
        match teller.take(step).await {
            Ok(()) => say(&format!("ok {sentence}"))?,
            Err(why) => say(&format!("failed {sentence}: {}", why.replace('\n', " ")))?,
        }
    }
    say("end")?;
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[derive(Default)]
struct Teller {
    saved: HashMap<String, String>,
    clients: HashMap<String, Client>,
    watches: HashMap<String, Watching>,
}

impl Teller {
    async fn take(&mut self, step: &Value) -> Result<(), Why> {
        if let Some(times) = step["repeat"].as_u64() {
            for number in 1..=times {
                self.saved.insert("n".to_owned(), number.to_string());
                self.call(&self.filled(step)?).await?;
            }
            return Ok(());
        }
        let step = self.filled(step)?;
        if step["call"].is_string() {
            self.call(&step).await
        } else if step["pages"].is_string() {
            self.pages(&step).await
        } else if let Some(name) = step["watch"].as_str() {
            let request = WatchCartsRequest {
                filter: step["filter"].as_str().unwrap_or_default().to_owned(),
                names: strings(&step["names"]),
                options: None,
            };
            let client = self.client(&step)?;
            let watch = match &step["target"] {
                Value::Null => client.watch_carts(request),
                target => client.watch_cart(call::parsed("CartTarget", target)?),
            };
            self.watches.insert(name.to_owned(), Watching::new(watch));
            Ok(())
        } else if let Some(name) = step["figures"].as_str() {
            let request = match &step["request"] {
                Value::Null => WatchCartFiguresRequest::default(),
                request => call::parsed("WatchCartFiguresRequest", request)?,
            };
            let figures = self.client(&step)?.watch_cart_figures(request);
            self.watches
                .insert(name.to_owned(), Watching::figures(figures));
            Ok(())
        } else if step["keyless"] == true {
            match Client::builder().key("").connect() {
                Ok(_) => Err("it was not refused".to_owned()),
                Err(error) => matches_error(&step["expect"]["error"], &error),
            }
        } else if !step["refused"].is_null() {
            match call::helped(&step["refused"]) {
                Ok(_) => Err("it was not refused".to_owned()),
                Err(text) => matches_text(&step["expect"], &text),
            }
        } else if let Some(name) = step["await"].as_str() {
            let client = self.client(&Value::Null)?;
            let watching = self.watches.get(name).ok_or("there is no such watch")?;
            watching.wait(&step["expect"], &client).await
        } else if let Some(order) = step["server"].as_str() {
            say(&format!("do {order}")).map_err(|error| error.to_string())?;
            let mut answer = String::new();
            io::stdin()
                .read_line(&mut answer)
                .map_err(|error| error.to_string())?;
            expect(answer.trim() == "done", || {
                format!("the harness says: {answer}")
            })
        } else {
            Err("no such sort of step".to_owned())
        }
    }

    async fn call(&mut self, step: &Value) -> Result<(), Why> {
        let client = self.client(step)?;
        let expected = &step["expect"];
        let answer = call::ask(&client, text(&step["call"]), &step["request"]).await?;
        match answer {
            Ok(answer) => {
                expect(!expected["response"].is_null(), || {
                    format!("not refused: {answer}")
                })?;
                matches(&expected["response"], &answer, "response")?;
                for (name, path) in step["save"].as_object().into_iter().flatten() {
                    let pointer = format!("/{}", text(path).replace('.', "/"));
                    let kept = answer.pointer(&pointer).map(text).unwrap_or_default();
                    self.saved.insert(name.clone(), kept.to_owned());
                }
                Ok(())
            }
            Err(error) => {
                expect(!expected["error"].is_null(), || {
                    format!("refused: {error:?}")
                })?;
                matches_error(&expected["error"], &error)
            }
        }
    }

    async fn pages(&mut self, step: &Value) -> Result<(), Why> {
        let client = self.client(step)?;
        if step["pages"] != "CustomerService.ListCustomers" {
            return Err(format!("the program has no pages of {}", step["pages"]));
        }
        let request: ListCustomersRequest = call::parsed("ListCustomersRequest", &step["request"])?;
        let (mut names, mut count) = (BTreeSet::new(), 0);
        let mut customers = Box::pin(client.all(request));
        while let Some(customer) = customers.next().await {
            match customer {
                Ok(customer) => names.insert(customer.name),
                Err(error) => return matches_error(&step["expect"]["error"], &error),
            };
            count += 1;
        }
        expect(names.len() == count, || {
            format!("{} came twice", count - names.len())
        })?;
        let expected = &step["expect"]["count"];
        expect(*expected == count, || {
            format!("{count} came, expected {expected}")
        })
    }

    fn client(&mut self, step: &Value) -> Result<Client, Why> {
        let variable = |name| std::env::var(name).map_err(|_| format!("there is no {name}"));
        let key = match step["as"].as_str() {
            Some(key) => key.to_owned(),
            None => variable("CLIENTELA_API_KEY")?,
        };
        if let Some(client) = self.clients.get(&key) {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .address(variable("CLIENTELA_SERVER")?)
            .key(&key)
            .on_connection(|why| match why {
                Some(why) => eprintln!("not connected: {why}"),
                None => eprintln!("connected again"),
            })
            .connect()
            .map_err(|error| error.to_string())?;
        self.clients.insert(key, client.clone());
        Ok(client)
    }

    /// Returns the value with saved values in the place of their names.
    fn filled(&self, value: &Value) -> Result<Value, Why> {
        Ok(match value {
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.filled(value)?)));
                Value::Object(fields.collect::<Result<Map<_, _>, Why>>()?)
            }
            Value::Array(values) => values
                .iter()
                .map(|value| self.filled(value))
                .collect::<Result<_, _>>()?,
            Value::String(text) => {
                let mut parts = text.split("${");
                let mut whole = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (name, rest) = part.split_once('}').ok_or("a name has no end")?;
                    let saved = self.saved.get(name);
                    whole += saved.ok_or_else(|| format!("nothing was saved as {name}"))?;
                    whole += rest;
                }
                Value::String(whole)
            }
            other => other.clone(),
        })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|value| text(value).to_owned())
        .collect()
}

fn expect(met: bool, why: impl FnOnce() -> Why) -> Result<(), Why> {
    if met { Ok(()) } else { Err(why()) }
}

/// The text of an error must have every expected part.
fn matches_text(expected: &Value, text: &str) -> Result<(), Why> {
    for part in strings(&expected["text"]) {
        expect(text.contains(&part), || {
            format!("the text {text} lacks {part}")
        })?;
    }
    Ok(())
}

/// Whether a value is as expected. An object may have more fields.
fn matches(expected: &Value, value: &Value, place: &str) -> Result<(), Why> {
    match (expected, value) {
        (Value::Object(fields), Value::Object(_)) => fields
            .iter()
            .try_for_each(|(name, field)| matches(field, &value[name], &format!("{place}.{name}"))),
        (Value::Array(elements), Value::Array(values)) => {
            expect(elements.len() == values.len(), || {
                format!("{place} has {} elements", values.len())
            })?;
            let pairs = elements.iter().zip(values).enumerate();
            pairs.into_iter().try_for_each(|(index, (element, value))| {
                matches(element, value, &format!("{place}.{index}"))
            })
        }
        _ => expect(expected == value, || {
            format!("{place} is {value}, expected {expected}")
        }),
    }
}

fn matches_error(expected: &Value, error: &clientela_client::Error) -> Result<(), Why> {
    matches_text(expected, &error.to_string())?;
    let code = call::code(error.code);
    expect(expected["code"] == code, || format!("refused: {error:?}"))?;
    if let Some(reason) = expected["reason"].as_str() {
        expect(error.reason.as_str_name() == reason, || {
            format!("the reason is {:?}", error.reason)
        })?;
    }
    for (name, value) in expected["metadata"].as_object().into_iter().flatten() {
        let given = error.metadata.get(name).map(String::as_str);
        expect(given == value.as_str(), || {
            format!("the metadata is {:?}", error.metadata)
        })?;
    }
    for field in strings(&expected["violations"]) {
        let named = error
            .violations
            .iter()
            .any(|violation| violation.field == field);
        expect(named, || {
            format!("the violations are {:?}", error.violations)
        })?;
    }
    Ok(())
}
