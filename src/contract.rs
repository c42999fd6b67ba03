//! The contract as tables, built once from the descriptors: the roles that may call each RPC, and the
//! properties of each field of each message.
//!
//! No call uses reflection. The tables hold only what the contract grants; everything else is refused.

mod comments;
pub(crate) mod records;

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor,
    ReflectMessage as _, Value,
};

use crate::{caller::Roles, limits::Rule, proto::POOL};
use comments::Comments;

/// The package whose RPCs the tables hold.
pub const PACKAGE: &str = "clientela.v1";

/// The most fields of a message, so that one word can hold a set of them. Their numbers may be as large as
/// the wire format allows.
pub const FIELDS_MAX: usize = 128;

/// A set of fields of one message: one bit for each, by [`Field::place`].
pub type FieldSet = u128;
const _: () = assert!(FieldSet::BITS as usize == FIELDS_MAX);

/// RPCs that an operator key may call without naming a shop where there are several.
const WITHOUT_SHOP: [&str; 6] = [
    "CreateApiKey",
    "CreateShop",
    "GetShop",
    "ListApiKeys",
    "ListShops",
    "RevokeApiKey",
];

/// The tables of the whole contract.
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::build(&POOL));

/// The RPCs and messages of the contract.
#[derive(Debug)]
pub struct Tables {
    methods: HashMap<String, Method>,
    messages: Vec<Message>,
    ids: HashMap<String, MessageId>,
}

/// The index of a message in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(usize);

/// One RPC.
#[derive(Debug)]
pub struct Method {
    /// The path, for example `/clientela.v1.CartService/AddItem`.
    pub path: String,
    /// The roles that may call it; none if the contract names none.
    pub roles: Roles,
    /// The type of its request.
    pub request: MessageId,
    /// The type of its answer, or of the messages of its stream.
    pub response: MessageId,
    /// Whether it answers with a stream.
    pub streams: bool,
    /// Whether it changes nothing.
    pub reads_only: bool,
    /// Whether the resource in the request is new, so that its name is ignored.
    pub creates: bool,
    /// The field to which an `update_mask` of the request refers, and the field's message.
    pub masked: Option<(String, MessageId)>,
    /// Whether an operator key may leave out the shop.
    pub without_shop: bool,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// The name without the package, for example `CartEdit.SetQuantity`.
    pub name: String,
    /// The kind of message, if it is one of Google's.
    pub known: Option<Known>,
    /// From each of these sets of fields, one is required.
    pub oneofs: Vec<FieldSet>,
    /// The fields, by number.
    fields: Vec<Field>,
    /// The distinct sets of roles that may see restricted fields: its own, and those of its fields' messages.
    narrowed: Vec<Roles>,
}

/// Messages of `google.protobuf` that have a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// A time.
    Timestamp,
    /// A span of time.
    Duration,
    /// Paths of fields.
    FieldMask,
    /// A free structure, as in JSON.
    Struct,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// The name in the contract.
    pub name: String,
    /// The name in JSON.
    pub json_name: String,
    /// The number on the wire.
    pub number: u32,
    /// Its index among the fields of its message.
    pub place: usize,
    /// Whether a request must have it.
    pub required: bool,
    /// The type of a value.
    pub kind: Kind,
    /// How many values the field has.
    pub shape: Shape,
    /// Whether absence differs from zero.
    pub presence: bool,
    /// Whether a value from a caller is ignored.
    pub output_only: bool,
    /// Whether it is never returned.
    pub input_only: bool,
    /// Whether it is set at creation and never changes.
    pub immutable: bool,
    /// The roles that see it.
    pub readers: Roles,
    /// The roles that may set it.
    pub writers: Roles,
    /// The rule for its values, if the kind alone is not enough.
    pub rule: Option<Rule>,
}

/// The type of a field's value.
#[derive(Debug)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A floating-point number.
    Double,
    /// Text.
    Text,
    /// One of these numbers.
    Enum(Vec<i32>),
    /// A message.
    Message(MessageId),
}

/// How many values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// At most one.
    One,
    /// A list.
    List,
    /// A map, whose entries are messages of a key and a value.
    Map,
}

impl Tables {
    /// The RPC of this path.
    pub fn method(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// All RPCs.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.values()
    }

    /// The message with this id.
    pub fn message(&self, id: MessageId) -> &Message {
        self.messages
            .get(id.0)
            .expect("ids are only made with their message")
    }

    /// The id of the message with this name, without the package.
    pub fn find(&self, name: &str) -> Option<MessageId> {
        self.ids.get(&format!("{PACKAGE}.{name}")).copied()
    }

    /// Whether these roles see the field at a path of a message.
    pub fn may_read(&self, message: MessageId, path: &str, roles: Roles) -> bool {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let Some(field) = self.message(message).named(first) else {
            return false;
        };
        let nested = match field.kind {
            _ if rest.is_empty() => true,
            Kind::Message(nested) => self.may_read(nested, rest, roles),
            _ => false,
        };
        nested && field.readers.intersects(roles)
    }

    pub(super) fn build(pool: &DescriptorPool) -> Self {
        let mut tables = Self {
            methods: HashMap::new(),
            messages: Vec::new(),
            ids: HashMap::new(),
        };
        let mut comments = Comments::default();
        let services = pool
            .services()
            .filter(|service| service.package_name() == PACKAGE);
        for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let method = tables.add_method(&method, &mut comments);
            tables.methods.insert(method.path.clone(), method);
        }
        tables.spread_narrowed();
        tables
    }

    fn add_method(&mut self, method: &MethodDescriptor, comments: &mut Comments) -> Method {
        assert!(
            !method.is_client_streaming(),
            "requests of the contract are single messages"
        );
        let request = self.add_message(&method.input(), comments);
        let response = self.add_message(&method.output(), comments);
        let masked = method.input().get_field_by_name("update_mask").map(|_| {
            let resource = method
                .input()
                .get_field(1)
                .expect("the resource that a mask is about is the first field");
            let kind = resource.kind();
            let message = kind.as_message().expect("a resource is a message");
            (
                resource.name().to_owned(),
                self.add_message(message, comments),
            )
        });
        let options = method.options();
        let read_only = method
            .method_descriptor_proto()
            .options
            .as_ref()
            .is_some_and(|options| {
                options.idempotency_level()
                    == prost_reflect::prost_types::method_options::IdempotencyLevel::NoSideEffects
            });
        Method {
            path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            roles: extension(&options, "access")
                .map_or(Roles::NONE, |access| roles(&access, "roles")),
            request,
            response,
            streams: method.is_server_streaming(),
            reads_only: read_only || method.is_server_streaming(),
            creates: method.name().starts_with("Create"),
            masked,
            without_shop: WITHOUT_SHOP.contains(&method.name()),
        }
    }

    fn add_message(&mut self, message: &MessageDescriptor, comments: &mut Comments) -> MessageId {
        if let Some(id) = self.ids.get(message.full_name()) {
            return *id;
        }
        let id = MessageId(self.messages.len());
        self.ids.insert(message.full_name().to_owned(), id);
        let name = message
            .full_name()
            .strip_prefix(PACKAGE)
            .map_or(message.full_name(), |name| name.trim_start_matches('.'))
            .to_owned();
        let known = match message.full_name() {
            "google.protobuf.Timestamp" => Some(Known::Timestamp),
            "google.protobuf.Duration" => Some(Known::Duration),
            "google.protobuf.FieldMask" => Some(Known::FieldMask),
            "google.protobuf.Struct" => Some(Known::Struct),
            _ => None,
        };
        // Its index is reserved first, because messages may contain themselves.
        self.messages.push(Message {
            name: name.clone(),
            known,
            oneofs: Vec::new(),
            fields: Vec::new(),
            narrowed: Vec::new(),
        });
        let mut fields: Vec<Field> = message
            .fields()
            .map(|descriptor| {
                let comment = comments.of(&descriptor);
                self.add_field(&name, &descriptor, &comment, comments)
            })
            .collect();
        fields.sort_by_key(|field| field.number);
        assert!(fields.len() <= FIELDS_MAX, "{name} has too many fields");
        for (place, field) in fields.iter_mut().enumerate() {
            field.place = place;
        }
        let narrowed = fields
            .iter()
            .map(|field| field.readers)
            .filter(|readers| *readers != Roles::ALL);
        let narrowed: HashSet<Roles> = narrowed.collect();
        let entry = &mut self.messages[id.0];
        entry.fields = fields;
        entry.narrowed = narrowed.into_iter().collect();
        entry.oneofs = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| {
                let fields = oneof.fields();
                let known = fields.filter_map(|field| entry.field(field.number()));
                known.fold(0, |set, field| set | field.bit())
            })
            .collect();
        id
    }

    fn add_field(
        &mut self,
        message: &str,
        descriptor: &FieldDescriptor,
        comment: &str,
        comments: &mut Comments,
    ) -> Field {
        let kind = match descriptor.kind() {
            prost_reflect::Kind::Bool => Kind::Bool,
            prost_reflect::Kind::Int32 => Kind::Int32,
            prost_reflect::Kind::Int64 => Kind::Int64,
            prost_reflect::Kind::Double => Kind::Double,
            prost_reflect::Kind::String => Kind::Text,
            prost_reflect::Kind::Enum(values) => {
                Kind::Enum(values.values().map(|value| value.number()).collect())
            }
            prost_reflect::Kind::Message(nested) => {
                Kind::Message(self.add_message(&nested, comments))
            }
            other => panic!(
                "{}: the walk does not know {other:?}",
                descriptor.full_name()
            ),
        };
        let access = extension(&descriptor.options(), "field_access");
        let narrowed = |field| {
            access
                .as_ref()
                .map(|access| roles(access, field))
                .filter(|roles| !roles.is_empty())
                .unwrap_or(Roles::ALL)
        };
        let behaves = |word: &str| comment.split_inclusive('.').any(|part| part.trim() == word);
        Field {
            name: descriptor.name().to_owned(),
            json_name: descriptor.json_name().to_owned(),
            number: descriptor.number(),
            place: 0,
            required: comment.starts_with("Required."),
            kind,
            shape: match (descriptor.is_map(), descriptor.is_list()) {
                (true, _) => Shape::Map,
                (_, true) => Shape::List,
                _ => Shape::One,
            },
            presence: descriptor.supports_presence(),
            output_only: behaves("Output only.") || behaves("Derived."),
            input_only: behaves("Input only."),
            immutable: behaves("Immutable."),
            readers: narrowed("readers"),
            writers: narrowed("writers"),
            rule: Rule::of(message, descriptor.name()),
        }
    }

    /// Narrows each message that contains a narrowed message.
    fn spread_narrowed(&mut self) {
        loop {
            let mut changed = false;
            for at in 0..self.messages.len() {
                let nested: Vec<Roles> = self.messages[at]
                    .fields()
                    .filter_map(|field| match field.kind {
                        Kind::Message(id) => Some(&self.message(id).narrowed),
                        _ => None,
                    })
                    .flatten()
                    .copied()
                    .collect();
                let narrowed = &mut self.messages[at].narrowed;
                for readers in nested {
                    if !narrowed.contains(&readers) {
                        narrowed.push(readers);
                        changed = true;
                    }
                }
            }
            if !changed {
                return;
            }
        }
    }
}

impl Message {
    /// The field of this number.
    pub fn field(&self, number: u32) -> Option<&Field> {
        // Most messages number their fields from one without a gap.
        let guess = self.fields.get((number as usize).wrapping_sub(1));
        if let Some(field) = guess.filter(|field| field.number == number) {
            return Some(field);
        }
        let place = self
            .fields
            .binary_search_by_key(&number, |field| field.number);
        self.fields.get(place.ok()?)
    }

    /// All fields, by number.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// The field of this name, in the form of the contract or of JSON.
    pub fn named(&self, name: &str) -> Option<&Field> {
        self.fields()
            .find(|field| field.name == name || field.json_name == name)
    }

    /// Whether these roles may not see some field of it, however deep.
    pub fn is_narrowed_for(&self, roles: Roles) -> bool {
        self.narrowed
            .iter()
            .any(|readers| !readers.intersects(roles))
    }
}

impl Field {
    /// The set of this field alone.
    pub const fn bit(&self) -> FieldSet {
        1 << self.place
    }
}

fn extension(options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = options
        .descriptor()
        .parent_pool()
        .get_extension_by_name(&format!("{PACKAGE}.{name}"))
        .expect("access.proto declares the options");
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

fn roles(message: &DynamicMessage, field: &str) -> Roles {
    let value = message.get_field_by_name(field);
    let numbers = value
        .as_deref()
        .and_then(Value::as_list)
        .unwrap_or_default();
    Roles::from_numbers(numbers.iter().filter_map(Value::as_enum_number))
}

#[cfg(test)]
mod tests;
