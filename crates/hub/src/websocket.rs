//! MQTT over WebSocket: `/$iothub/websocket`, sub-protocol `mqtt` (`iot-hub-wire.md` §1, §11). What comes in frames is
//! a stream of bytes to the session, which knows nothing of them.

use crate::{
    Hub,
    fault::Fault,
    https::{self, Sessions},
    metering, session,
};
use actix_http::ws::{self, Codec, Frame, Item, Message};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    rt,
    web::{self, Data, Payload, ServiceConfig},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use std::{convert::Infallible, pin::pin};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    sync::mpsc,
};
use tokio_util::codec::{Decoder, Encoder};

/// The one sub-protocol that is spoken here.
const MQTT: &str = "mqtt";
/// A frame holds at most one packet of the largest size.
const MAX_FRAME_BYTES: usize = 512 * 1024;
/// Bytes between the frames and the session, in each direction.
const PIPE_BYTES: usize = 16 * 1024;
/// Frames that may wait for the socket.
const MAX_FRAMES: usize = 4;
/// Pings that may wait to be answered; a client that sends more of them meanwhile gets fewer answers.
const MAX_CONTROLS: usize = 4;

/// The route.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service.service(web::resource("/$iothub/websocket").get(open_websocket));
}

async fn open_websocket(
    request: HttpRequest,
    payload: Payload,
    hub: Data<Hub>,
    sessions: Data<Sessions>,
) -> HttpResponse {
    match upgrade(&request, payload, &hub, &sessions) {
        Ok(response) => response,
        Err(fault) => https::failure(&hub, &fault),
    }
}

fn upgrade(
    request: &HttpRequest,
    payload: Payload,
    hub: &Data<Hub>,
    sessions: &Sessions,
) -> Result<HttpResponse, Fault> {
    let bad = |message: &str| Fault::new(400, 400_000, message);
    ws::verify_handshake(request.head()).map_err(|error| bad(&error.to_string()))?;
    if !offers_mqtt(request) {
        return Err(bad("the sub-protocol is not mqtt"));
    }
    let peer = https::peer(request).ok_or_else(|| bad("the client has no address"))?;
    let Ok(place) = hub.places.clone().try_acquire_owned() else {
        metering::count_turned_away("full");
        return Err(Fault::new(503, 503_005, "the hub holds as many connections as it can"));
    };
    let (near, far) = duplex(PIPE_BYTES);
    let (frames, sent) = mpsc::channel(MAX_FRAMES);
    let hub = hub.clone().into_inner();
    let session = async move {
        let _open = (hub.meters.connection(), place);
        session::serve(hub, far, peer).await;
    };
    sessions.tasks.spawn_on(session, &sessions.runtime);
    rt::spawn(carry(payload, near, frames));
    let body = stream::unfold(sent, |mut sent| async { Some((Ok::<_, Infallible>(sent.recv().await?), sent)) });
    let mut response = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS);
    response.upgrade("websocket").insert_header((header::SEC_WEBSOCKET_PROTOCOL, MQTT));
    let accept = ws::handshake_response(request.head()).finish();
    if let Some(key) = accept.headers().get(header::SEC_WEBSOCKET_ACCEPT) {
        response.insert_header((header::SEC_WEBSOCKET_ACCEPT, key.clone()));
    }
    Ok(response.streaming(body))
}

fn offers_mqtt(request: &HttpRequest) -> bool {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    offers.filter_map(|offer| offer.to_str().ok()).flat_map(|offer| offer.split(',')).any(|name| name.trim() == MQTT)
}

/// Carries bytes both ways until the session or the client ends.
async fn carry(payload: Payload, session: DuplexStream, frames: mpsc::Sender<Bytes>) {
    let (from_session, to_session) = split(session);
    let (controls, answers) = mpsc::channel(MAX_CONTROLS);
    let incoming = pin!(unwrap_frames(payload, to_session, controls));
    let mut outgoing = pin!(wrap_frames(from_session, answers, frames));
    tokio::select! {
        () = &mut outgoing => return,
        () = incoming => {}
    }
    outgoing.await;
}

/// From the client to the session; the end of one is the end of the other.
async fn unwrap_frames(mut payload: Payload, mut session: WriteHalf<DuplexStream>, controls: mpsc::Sender<Message>) {
    let mut codec = Codec::new().max_size(MAX_FRAME_BYTES);
    let mut read = BytesMut::new();
    'client: while let Some(Ok(bytes)) = payload.next().await {
        read.extend_from_slice(&bytes);
        loop {
            let data = match codec.decode(&mut read) {
                Ok(None) => break,
                Ok(Some(
                    Frame::Binary(data)
                    | Frame::Continuation(Item::FirstBinary(data) | Item::Continue(data) | Item::Last(data)),
                )) => data,
                Ok(Some(Frame::Ping(data))) => {
                    // One that finds no room is not answered; the next one will be.
                    let _ = controls.try_send(Message::Pong(data));
                    continue;
                }
                Ok(Some(Frame::Pong(_))) => continue,
                Ok(Some(Frame::Text(_) | Frame::Continuation(Item::FirstText(_)) | Frame::Close(_))) | Err(_) => {
                    break 'client;
                }
            };
            if session.write_all(&data).await.is_err() {
                return;
            }
        }
        if read.is_empty() {
            read = BytesMut::new();
        }
    }
    // A session that is gone needs no end.
    let _ = session.shutdown().await;
}

/// From the session to the client.
async fn wrap_frames(
    mut session: ReadHalf<DuplexStream>,
    mut answers: mpsc::Receiver<Message>,
    frames: mpsc::Sender<Bytes>,
) {
    let mut codec = Codec::new();
    let mut listening = true;
    loop {
        let mut data = BytesMut::new();
        let message = tokio::select! {
            answer = answers.recv(), if listening => match answer {
                Some(answer) => answer,
                None => {
                    listening = false;
                    continue;
                }
            },
            count = session.read_buf(&mut data) => match count {
                Ok(0) | Err(_) => Message::Close(None),
                Ok(_) => Message::Binary(data.freeze()),
            },
        };
        let last = matches!(message, Message::Close(_));
        let mut frame = BytesMut::new();
        if codec.encode(message, &mut frame).is_err() || frames.send(frame.freeze()).await.is_err() || last {
            return;
        }
    }
}
