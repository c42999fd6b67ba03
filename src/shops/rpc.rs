//! AdminService: shops, their settings and their keys.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::{Code, Request, Response, Status};

use super::convert;
use super::model::{Shop, ShopDoc};
use super::{lock, read, sql};
use crate::access::{Keys, api_keys};
use crate::caller::Caller;
use crate::epochs;
use crate::error::{Error, Result};
use crate::feed::{self, Change};
use crate::proto::pb::{self, ErrorReason};
use crate::proto::server::admin_service_server::AdminService;
use crate::store::{Conn, Event, Store};

/// Hides groups in the settings of a shop. The area of the groups provides it.
#[tonic::async_trait]
pub trait HideGroups: Send + Sync + 'static {
    /// Clears the fields of the settings that name a group which the caller may not see.
    async fn hide(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        settings: &mut pb::ShopSettings,
    ) -> Result<()>;
}

/// AdminService over a store.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    api_keys: Keys,
    hidden: Arc<dyn HideGroups>,
}

impl Service {
    /// Makes the service. `hidden` knows which groups are hidden.
    #[must_use]
    pub fn new(store: Store, api_keys: Keys, hidden: Arc<dyn HideGroups>) -> Self {
        Self {
            store,
            api_keys,
            hidden,
        }
    }

    async fn create(&self, caller: Caller, request: pb::CreateShopRequest) -> Result<pb::Shop> {
        let now = self.store.clock().now();
        let pb::CreateShopRequest {
            shop,
            shop_id: id,
            validate_only,
            ..
        } = request;
        let display_name = shop.unwrap_or_default().display_name;
        let new = new_shop(id, display_name, now);
        let locks = feed::locks(&caller).and(lock(&new.id));
        let work = (caller, new, validate_only);
        let shop = self
            .store
            .write_with(locks, work, |tx, (caller, new, validate_only)| {
                async move {
                    if let Some(replay) = feed::replay(tx, caller).await? {
                        return match replay.answer::<pb::Shop>()? {
                            Some(answer) => Ok(answer),
                            None => present(tx, &replay.id)
                                .await
                                .map(|shop| convert::shop(&shop)),
                        };
                    }
                    if read::get(tx, &new.id).await?.is_some() {
                        let name = convert::shop_name(&new.id);
                        let text = "another shop has this id";
                        return Err(
                            Error::new(Code::AlreadyExists, ErrorReason::NameTaken, text)
                                .with("name", name),
                        );
                    }
                    if !validate_only {
                        super::insert(tx, caller, new).await?;
                    }
                    Ok(convert::shop(new))
                }
                .boxed()
            });
        shop.await
    }

    async fn get(&self, caller: Caller, name: String) -> Result<pb::Shop> {
        let id = convert::id_of(&name).to_owned();
        if !caller.is_operator() && *caller.shop != *id {
            return Err(Error::not_found("shop"));
        }
        let shop = self
            .store
            .read(|conn| async move { present(conn, &id).await }.boxed())
            .await?;
        Ok(convert::shop(&shop))
    }

    async fn settings(&self, caller: Caller) -> Result<pb::ShopSettings> {
        let hidden = Arc::clone(&self.hidden);
        let read = self.store.read(|conn| {
            async move {
                let shop = present(conn, &caller.shop).await?;
                let mut settings = convert::settings(&shop);
                hidden.hide(conn, &caller, &mut settings).await?;
                Ok(settings)
            }
            .boxed()
        });
        read.await
    }

    async fn update_settings(
        &self,
        caller: Caller,
        request: pb::UpdateShopSettingsRequest,
    ) -> Result<pb::ShopSettings> {
        let now = self.store.clock().now();
        let locks = feed::locks(&caller).and(lock(&caller.shop));
        let work = (caller, request);
        let settings = self
            .store
            .write_with(locks, work, move |tx, (caller, request)| {
                async move {
                    if let Some(replay) = feed::replay(tx, caller).await? {
                        return match replay.answer::<pb::ShopSettings>()? {
                            Some(answer) => Ok(answer),
                            None => present(tx, &replay.id)
                                .await
                                .map(|shop| convert::settings(&shop)),
                        };
                    }
                    let before = present(tx, &caller.shop).await?;
                    let name = convert::settings_name(&before.id);
                    let etag = request
                        .settings
                        .as_ref()
                        .map_or("", |settings| &settings.etag);
                    feed::check_etag(etag, &name, before.version)?;
                    let mut shop = before.clone();
                    convert::apply(request, &mut shop.doc.settings)?;
                    if shop == before {
                        let answer = convert::settings(&shop);
                        if !request.validate_only {
                            feed::remember(tx, caller, now, &shop.id, &answer).await?;
                        }
                        return Ok(answer);
                    }
                    shop.version += 1;
                    shop.update_time = now;
                    let event = Event {
                        caller,
                        before: Some(&before),
                        after: Some(&shop),
                        now,
                    };
                    let held = tx.hold(event).await?;
                    let answer = convert::settings(&shop);
                    if request.validate_only {
                        return Ok(answer);
                    }
                    epochs::changed(tx, crate::shops::SETTINGS.number(), &shop.id, &shop.id);
                    sql::update(tx, &shop).await?;
                    let change =
                        Change::upserted(crate::shops::SETTINGS, &*shop.id, shop.version, &answer);
                    feed::append(tx, caller, now, change).await?;
                    tx.react_held(event, &held).await?;
                    Ok(answer)
                }
                .boxed()
            });
        settings.await
    }
}

/// Makes a new shop, which has the default settings.
pub(super) fn new_shop(id: String, display_name: String, now: i64) -> Shop {
    let doc = ShopDoc {
        display_name,
        ..ShopDoc::default()
    };
    Shop {
        id,
        version: 1,
        doc,
        create_time: now,
        update_time: now,
    }
}

async fn present(conn: &mut Conn, id: &str) -> Result<Shop> {
    read::get(conn, id)
        .await?
        .ok_or_else(|| Error::not_found("shop"))
}

#[tonic::async_trait]
impl AdminService for Service {
    async fn create_shop(
        &self,
        request: Request<pb::CreateShopRequest>,
    ) -> Result<Response<pb::Shop>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(
            self.create(caller, request.into_inner()).await?,
        ))
    }

    async fn get_shop(
        &self,
        request: Request<pb::GetShopRequest>,
    ) -> Result<Response<pb::Shop>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(
            self.get(caller, request.into_inner().name).await?,
        ))
    }

    async fn list_shops(
        &self,
        request: Request<pb::ListShopsRequest>,
    ) -> Result<Response<pb::ListShopsResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        let list = read::list(&self.store, &caller, &request);
        Ok(Response::new(list.await?))
    }

    async fn get_shop_settings(
        &self,
        request: Request<pb::GetShopSettingsRequest>,
    ) -> Result<Response<pb::ShopSettings>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(self.settings(caller).await?))
    }

    async fn update_shop_settings(
        &self,
        request: Request<pb::UpdateShopSettingsRequest>,
    ) -> Result<Response<pb::ShopSettings>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(
            self.update_settings(caller, request.into_inner()).await?,
        ))
    }

    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> Result<Response<pb::CreateApiKeyResponse>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(
            api_keys::create(&self.store, caller, request.into_inner()).await?,
        ))
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> Result<Response<pb::ListApiKeysResponse>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(
            api_keys::list(&self.store, caller, request.into_inner()).await?,
        ))
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request).clone();
        api_keys::revoke(&self.store, &self.api_keys, caller, request.into_inner()).await?;
        Ok(Response::new(()))
    }
}
