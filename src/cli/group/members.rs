//! `clientela group members`, `add-members` and `remove-members`.

use clap::Args;

use crate::{
    cli::{
        connection::Client,
        customer,
        failure::Failure,
        output::{self, Align, Table},
        pages::{self, Page, PageArgs},
        resolve,
    },
    proto::pb::{self, member_result::Outcome},
};

/// The members of a group.
#[derive(Debug, Args)]
pub struct List {
    /// `groups/{id}` or the id
    group: String,

    #[command(flatten)]
    page: PageArgs,
}

/// Customers who become members.
#[derive(Debug, Args)]
pub struct Add {
    /// `groups/{id}` or the id
    group: String,

    /// `customers/{id}`, the id, the number or the e-mail address, at most 1,000
    #[arg(required = true)]
    members: Vec<String>,

    /// Makes the group their default group, whose discount their carts get
    #[arg(long)]
    make_default: bool,

    /// The reason, at most 500 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,

    /// When the memberships expire, for example 2026-12-31T18:00:00Z; by default never
    #[arg(long, value_parser = time)]
    until: Option<prost_types::Timestamp>,

    /// Prints messages of the contract, one per line
    #[arg(long)]
    json: bool,
}

/// Customers who stop being members.
#[derive(Debug, Args)]
pub struct Remove {
    /// `groups/{id}` or the id
    group: String,

    /// `customers/{id}`, the id, the number or the e-mail address, at most 1,000
    #[arg(required = true)]
    members: Vec<String>,

    /// Also ends memberships that rules of the group granted
    #[arg(long)]
    include_rules: bool,

    /// Prints messages of the contract, one per line
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let group = output::full_name("groups", &self.group);
        let mut service = client.groups();
        let (members, more) = pages::walk(self.page.limit, async |page_size, page_token| {
            let request = pb::ListMembersRequest {
                group: group.clone(),
                page_size,
                page_token,
            };
            let answer = service.list_members(request).await?.into_inner();
            Ok(Page {
                items: answer.members,
                next: answer.next_page_token,
            })
        })
        .await?;
        if self.page.json {
            return pages::print_json(&members);
        }
        let mut table = Table::new(&[
            ("customer", Align::Left),
            ("name", Align::Left),
            ("e-mail", Align::Left),
            ("default", Align::Left),
            ("granted by", Align::Left),
            ("until", Align::Left),
        ]);
        for member in &members {
            table.row(row(member));
        }
        pages::print_table(&table, more)
    }
}

fn row(member: &pb::Member) -> Vec<String> {
    let nobody = pb::Customer::default();
    let customer = member.customer.as_ref().unwrap_or(&nobody);
    let sources = member
        .grants
        .iter()
        .map(|grant| output::word(grant.source().as_str_name(), "MEMBERSHIP_SOURCE_"));
    // The membership lasts until the last of its grants ends.
    let lasts = member
        .grants
        .iter()
        .any(|grant| grant.expire_time.is_none());
    let ends = member.grants.iter().filter_map(|grant| grant.expire_time);
    let last = ends.max_by_key(|time| (time.seconds, time.nanos));
    vec![
        output::id(&customer.name).to_owned(),
        output::cut(&customer::full_name(customer), 40),
        output::cut(&customer.email, 40),
        output::yes(member.default_group).to_owned(),
        sources.collect::<Vec<_>>().join(", "),
        output::time(last.as_ref().filter(|_| !lasts)),
    ]
}

impl Add {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let request = pb::AddMembersRequest {
            group: output::full_name("groups", &self.group),
            members: names(client, &self.members).await?,
            reason: self.reason,
            expire_time: self.until,
            make_default: self.make_default,
            request_id: uuid::Uuid::new_v4().to_string(),
            ..pb::AddMembersRequest::default()
        };
        let answer = client.groups().add_members(request).await?.into_inner();
        outcomes(&answer.results, self.json, "added")
    }
}

impl Remove {
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let request = pb::RemoveMembersRequest {
            group: output::full_name("groups", &self.group),
            members: names(client, &self.members).await?,
            include_rules: self.include_rules,
            request_id: uuid::Uuid::new_v4().to_string(),
        };
        let answer = client.groups().remove_members(request).await?.into_inner();
        outcomes(&answer.results, self.json, "removed")
    }
}

/// Converts the members to the forms of the contract: names and e-mail addresses.
async fn names(client: &Client, given: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = Vec::with_capacity(given.len());
    for member in given {
        names.push(match member.contains('@') {
            true => member.clone(),
            false => resolve::customer(client, member).await?,
        });
    }
    Ok(names)
}

/// Prints the outcome of each member. Fails if one of them has not reached the requested state.
fn outcomes(results: &[pb::MemberResult], json: bool, done: &str) -> Result<(), Failure> {
    if json {
        pages::print_json(results)?;
    } else {
        let mut table = Table::new(&[
            ("given", Align::Left),
            ("customer", Align::Left),
            ("outcome", Align::Left),
        ]);
        for result in results {
            table.row(vec![
                result.member.clone(),
                result.customer.clone(),
                output::word(result.outcome().as_str_name(), "OUTCOME_"),
            ]);
        }
        pages::print_table(&table, false)?;
    }
    let failed = results
        .iter()
        .filter(|result| !matches!(result.outcome(), Outcome::Changed | Outcome::Unchanged))
        .count();
    match failed {
        0 => Ok(()),
        failed => Err(Failure::new(format!(
            "{failed} of {} could not be {done}; the outcomes above say why",
            output::count(results.len(), "customer")
        ))),
    }
}

fn time(text: &str) -> Result<prost_types::Timestamp, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| "write a time, as in 2026-12-31T18:00:00Z".to_owned())?;
    Ok(crate::feed::timestamp(time.as_microsecond()))
}
