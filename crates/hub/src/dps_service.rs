//! The provisioning service's own REST API, for those who manage enrollments, and its HTTPS endpoints for devices
//! (`iot-hub-wire.md` §3).

use crate::{
    Hub,
    fault::Fault,
    https,
    limits::Kind,
    provisioning::{self as devices, DpsAnswer},
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use muster_engine::{
    EngineError,
    dps_enrollments::{self as enrollments, Put, Subject},
    policies::{self, PolicyRefused, Right},
    precondition::IfMatch,
    provisioning::{self, DpsConnect, DpsRefused, DpsSession},
};
use muster_model::{Caller, EnrollmentGroupId, IdScope, RegistrationId};
use serde_json::{Value, json};

/// Items of a page where the client does not say, and at most.
const MAX_ITEMS: u32 = 100;
/// Enrollments in one bulk operation.
const MAX_BULK: usize = 10;

/// The routes.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let individual = web::resource("/enrollments/{id}").get(get_individual).put(put_individual);
    let group = web::resource("/enrollmentGroups/{id}").get(get_group).put(put_group);
    let keys = web::resource("/enrollments/{id}/attestationmechanism").route(web::post().to(individual_attestation));
    let group_keys = web::resource("/enrollmentGroups/{id}/attestationmechanism");
    let registration = web::resource("/registrations/{id}").get(get_registration);
    service
        .service(web::resource("/enrollments").post(bulk_individuals))
        .service(web::resource("/enrollments/query").post(query_individuals))
        .service(individual.delete(delete_individual))
        .service(keys)
        .service(web::resource("/enrollmentGroups/query").post(query_groups))
        .service(group.delete(delete_group))
        .service(group_keys.post(group_attestation))
        .service(registration.delete(delete_registration))
        .service(web::resource("/registrations/{id}/query").post(query_registrations))
        .service(web::resource("/{scope}/registrations/{id}/register").put(register).post(register))
        .service(web::resource("/{scope}/registrations/{id}/operations/{operation}").get(operation))
        .service(web::resource("/{scope}/registrations/{id}").post(registration_state));
}

async fn get_individual(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&hub, get(&hub, &request, individual(&id)).await)
}

async fn get_group(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&hub, get(&hub, &request, group(&id)).await)
}

async fn put_individual(hub: Data<Hub>, request: HttpRequest, id: Path<String>, body: Bytes) -> HttpResponse {
    answer(&hub, put(&hub, &request, individual(&id), &body).await)
}

async fn put_group(hub: Data<Hub>, request: HttpRequest, id: Path<String>, body: Bytes) -> HttpResponse {
    answer(&hub, put(&hub, &request, group(&id), &body).await)
}

async fn delete_individual(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&hub, delete(&hub, &request, individual(&id)).await)
}

async fn delete_group(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&hub, delete(&hub, &request, group(&id)).await)
}

async fn individual_attestation(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&hub, attestation(&hub, &request, individual(&id)).await)
}

async fn group_attestation(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&hub, attestation(&hub, &request, group(&id)).await)
}

async fn get(hub: &Hub, request: &HttpRequest, subject: Result<Subject, Fault>) -> Result<HttpResponse, Fault> {
    let caller = authorize(hub, request).await?;
    Ok(document(enrollments::get(&hub.engine, &caller, &subject?).await?))
}

async fn put(
    hub: &Hub,
    request: &HttpRequest,
    subject: Result<Subject, Fault>,
    body: &[u8],
) -> Result<HttpResponse, Fault> {
    let caller = authorize(hub, request).await?;
    let how = match request.headers().contains_key(header::IF_MATCH) {
        true => Put::Update(condition(request)),
        false => Put::Create,
    };
    Ok(document(enrollments::put(&hub.engine, &caller, subject?, &read(body)?, &how).await?))
}

async fn delete(hub: &Hub, request: &HttpRequest, subject: Result<Subject, Fault>) -> Result<HttpResponse, Fault> {
    let caller = authorize(hub, request).await?;
    enrollments::delete(&hub.engine, &caller, &subject?, &condition(request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn attestation(hub: &Hub, request: &HttpRequest, subject: Result<Subject, Fault>) -> Result<HttpResponse, Fault> {
    let caller = authorize(hub, request).await?;
    Ok(HttpResponse::Ok().json(enrollments::attestation(&hub.engine, &caller, &subject?).await?))
}

async fn query_individuals(hub: Data<Hub>, request: HttpRequest) -> HttpResponse {
    let page = async {
        let caller = authorize(&hub, &request).await?;
        let paging = paging(&request)?;
        let page = enrollments::list_individuals(&hub.engine, &caller, paging).await?;
        Ok(listed("Enrollment", "registrationId", page.items, page.more))
    };
    answer(&hub, page.await)
}

async fn query_groups(hub: Data<Hub>, request: HttpRequest) -> HttpResponse {
    let page = async {
        let caller = authorize(&hub, &request).await?;
        let paging = paging(&request)?;
        let page = enrollments::list_groups(&hub.engine, &caller, paging).await?;
        Ok(listed("EnrollmentGroup", "enrollmentGroupId", page.items, page.more))
    };
    answer(&hub, page.await)
}

async fn query_registrations(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let page = async {
        let caller = authorize(&hub, &request).await?;
        let group = id.parse().map_err(EngineError::from)?;
        let page = provisioning::list_registrations(&hub.engine, &caller, &group, paging(&request)?).await?;
        Ok(listed("DeviceRegistration", "registrationId", page.items, page.more))
    };
    answer(&hub, page.await)
}

async fn get_registration(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let found = async {
        let caller = authorize(&hub, &request).await?;
        let id = id.parse().map_err(EngineError::from)?;
        Ok(document(provisioning::registration(&hub.engine, &caller, &id).await?))
    };
    answer(&hub, found.await)
}

async fn delete_registration(hub: Data<Hub>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let deleted = async {
        let caller = authorize(&hub, &request).await?;
        let id = id.parse().map_err(EngineError::from)?;
        provisioning::delete_registration(&hub.engine, &caller, &id).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    answer(&hub, deleted.await)
}

/// Several enrollments, each for itself; the answer says which of them failed.
async fn bulk_individuals(hub: Data<Hub>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let done = async {
        let caller = authorize(&hub, &request).await?;
        let body = read(&body)?;
        let items = body["enrollments"].as_array().filter(|items| items.len() <= MAX_BULK);
        let items = items.ok_or_else(|| bad(format!("expected at most {MAX_BULK} enrollments")))?;
        let mut errors = Vec::new();
        for item in items {
            let id = item["registrationId"].as_str().unwrap_or_default();
            if let Err(fault) = bulk_one(&hub, &caller, body["mode"].as_str().unwrap_or_default(), id, item).await {
                errors.push(json!({
                    "registrationId": id, "errorCode": fault.code, "errorStatus": fault.message,
                }));
            }
        }
        Ok(HttpResponse::Ok().json(json!({ "isSuccessful": errors.is_empty(), "errors": errors })))
    };
    answer(&hub, done.await)
}

async fn bulk_one(hub: &Hub, caller: &Caller, mode: &str, id: &str, item: &Value) -> Result<(), Fault> {
    let subject = individual(id)?;
    let condition = IfMatch::from_body(item["etag"].as_str());
    match mode {
        "create" => enrollments::put(&hub.engine, caller, subject, item, &Put::Create).await.map(drop)?,
        "update" => {
            enrollments::put(&hub.engine, caller, subject, item, &Put::Update(IfMatch::Any)).await.map(drop)?;
        }
        "updateIfMatchETag" => {
            enrollments::put(&hub.engine, caller, subject, item, &Put::Update(condition)).await.map(drop)?;
        }
        "delete" => enrollments::delete(&hub.engine, caller, &subject, &IfMatch::Any).await?,
        _ => return Err(bad("mode is create, update, updateIfMatchETag or delete")),
    }
    Ok(())
}

/// What a device asks over HTTPS instead of MQTT: to be registered.
async fn register(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    match log_in(&hub, &request, &path.0, &path.1).await {
        Ok(session) => over_http(devices::register(&hub.engine, &session, &body).await),
        Err(fault) => over_http(devices::failed(&hub.engine, &fault)),
    }
}

/// How the registration of an operation stands.
async fn operation(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String, String)>) -> HttpResponse {
    match log_in(&hub, &request, &path.0, &path.1).await {
        Ok(session) => over_http(devices::status(&hub.engine, &session, Some(&path.2)).await),
        Err(fault) => over_http(devices::failed(&hub.engine, &fault)),
    }
}

/// The registration's state alone.
async fn registration_state(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String)>) -> HttpResponse {
    let state = async {
        let session = log_in(&hub, &request, &path.0, &path.1).await?;
        let answer = devices::status(&hub.engine, &session, None).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok::<_, Fault>(match answer.status {
            200 => HttpResponse::Ok().json(&body["registrationState"]),
            _ => over_http(answer),
        })
    };
    state.await.unwrap_or_else(|fault| over_http(devices::failed(&hub.engine, &fault)))
}

async fn log_in(hub: &Hub, request: &HttpRequest, scope: &str, id: &str) -> Result<DpsSession, Fault> {
    let id_scope = IdScope::parse(scope).map_err(EngineError::from)?;
    let registration = RegistrationId::parse(id).map_err(EngineError::from)?;
    let peer = https::peer(request).ok_or_else(|| bad("the client has no address"))?;
    let claim = DpsConnect {
        id_scope: &id_scope,
        registration: &registration,
        password: text(request, header::AUTHORIZATION.as_str()),
        chain: &peer.chain,
    };
    provisioning::authenticate(&hub.engine, claim).await.map_err(|refusal| match refusal {
        DpsRefused::Unavailable(error) => error.into(),
        refusal => Fault::new(401, 401_002, refusal.to_string()),
    })
}

fn over_http(answer: DpsAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponseBuilder::new(status);
    if let Some(seconds) = answer.retry_after {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    response.content_type("application/json; charset=utf-8").body(answer.body)
}

/// Who manages the provisioning service.
async fn authorize(hub: &Hub, request: &HttpRequest) -> Result<Caller, Fault> {
    let refused = |message: &str| Fault::new(401, 401_002, message);
    let token = text(request, header::AUTHORIZATION.as_str()).ok_or_else(|| refused("there is no token"))?;
    let caller =
        policies::authenticate(&hub.engine, https::host(request), token).await.map_err(|refusal| match refusal {
            PolicyRefused::Unavailable(error) => error.into(),
            refusal => refused(&refusal.to_string()),
        })?;
    let share = hub.limits.of_tenant(caller.scope.tenant);
    share.pass(Kind::Calls, 1).await.map_err(|_| Fault::throttled())?;
    if caller.has(Right::Provisioning) { Ok(caller.caller()) } else { Err(refused("the policy does not allow it")) }
}

fn individual(id: &str) -> Result<Subject, Fault> {
    Ok(Subject::Individual(RegistrationId::parse(id).map_err(EngineError::from)?))
}

fn group(id: &str) -> Result<Subject, Fault> {
    Ok(Subject::Group(EnrollmentGroupId::parse(id).map_err(EngineError::from)?))
}

fn condition(request: &HttpRequest) -> IfMatch {
    IfMatch::parse(text(request, header::IF_MATCH.as_str()))
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// A page of a query; every query is for everything.
fn paging<K: std::str::FromStr>(request: &HttpRequest) -> Result<muster_engine::Paging<K>, Fault> {
    let limit = match text(request, "x-ms-max-item-count").filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| bad("x-ms-max-item-count is no number"))?,
        None => MAX_ITEMS,
    };
    let after = match text(request, "x-ms-continuation").filter(|text| !text.is_empty()) {
        Some(text) => Some(text.parse().map_err(|_| bad("x-ms-continuation is not one of this query"))?),
        None => None,
    };
    Ok(muster_engine::Paging { after, limit: limit.clamp(1, MAX_ITEMS) })
}

fn listed(kind: &'static str, id: &str, items: Vec<Value>, more: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-ms-item-type", kind));
    if let Some(last) = items.last().filter(|_| more).and_then(|last| last[id].as_str()) {
        response.insert_header(("x-ms-continuation", last.to_owned()));
    }
    response.json(items)
}

fn document(document: Value) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(etag) = document["etag"].as_str() {
        response.insert_header((header::ETAG, format!("\"{etag}\"")));
    }
    response.json(document)
}

fn read(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| bad(format!("body is not JSON: {error}")))
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::new(400, 400_004, message)
}

/// Errors of the provisioning service have a body of their own, the same that devices get.
fn answer(hub: &Hub, answer: Result<HttpResponse, Fault>) -> HttpResponse {
    answer.unwrap_or_else(|fault| {
        let mut response = over_http(devices::failed(&hub.engine, &fault));
        if let Ok(code) = header::HeaderValue::from_str(&fault.code.to_string()) {
            response.headers_mut().insert(header::HeaderName::from_static("x-ms-error-code"), code);
        }
        response
    })
}
