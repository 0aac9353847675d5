//! Requests that need the network before they can be answered: embeddings, and images and
//! files by URL. One exchange at a time for each; a client that leaves cancels it.

use super::Doing;
use crate::agent::turn::{Part, Turn};
use crate::api::openai::embeddings;
use crate::api::openai::invalid;
use crate::api::openai::media::{self, About, Place};
use crate::api::openai::request::{OfDoor, Request};
use crate::api::{Reply, error};
use crate::config::Media;
use crate::driver::{ConnId, Effects, Target};
use crate::gateway::Gateway;
use crate::gateway::exchange::{
    BodyBound, Exchange, ExchangeError, ExchangeId, FetchUrl, Purpose, Reach, Response,
};
use crate::limits;
use crate::wire::url::Url;

/// Embeddings that are being asked for.
pub(super) struct Embedding {
    request: embeddings::Request,
    pub(super) exchange: Option<ExchangeId>,
}

impl Embedding {
    pub(super) fn bytes(&self) -> usize {
        self.request.bytes()
    }
}

/// A request whose images and files are being fetched.
pub(super) struct Fetching {
    request: Request,
    http10: bool,
    nonce: String,
    pub(super) exchange: Option<ExchangeId>,
}

impl Fetching {
    pub(super) fn bytes(&self) -> usize {
        self.request.ask.bytes()
    }
}

impl Gateway {
    /// Asks for the next batch of a request's embeddings.
    pub(super) fn embed(
        &mut self,
        id: ConnId,
        request: embeddings::Request,
        fx: &mut Effects,
    ) -> Result<(), Reply> {
        let url = &request.url;
        let exchange = Exchange {
            target: Target {
                host: url.host.clone(),
                port: url.port,
                tls: url.scheme.is_tls(),
                public_only: false,
                proxy: None,
            },
            request: request.next_request(),
            body: BodyBound { max: limits::EMBED_ANSWER, cut: false },
            timeout_ms: limits::EMBED_MS,
            purpose: Purpose::Embeddings(id),
        };
        let exchange = self.exchange(exchange, fx).map_err(|why| failed(&why))?;
        if let Some(http) = self.http(id) {
            let embedding = Embedding { request, exchange: Some(exchange) };
            http.doing = Doing::Embed(Box::new(embedding));
        }
        self.count_held(id);
        Ok(())
    }

    /// The provider's answer to a batch.
    pub(in crate::gateway) fn embedded(
        &mut self,
        id: ConnId,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let Some(http) = self.http(id) else { return };
        let Doing::Embed(embedding) = std::mem::take(&mut http.doing) else { return };
        let mut request = embedding.request;
        let next = match result {
            Err(why) => Err(failed(&why)),
            Ok(response) => request.answered(response.status, &response.body),
        };
        let reply = match next {
            Ok(Some(reply)) => reply,
            Ok(None) => match self.embed(id, request, fx) {
                Ok(()) => return,
                Err(reply) => reply,
            },
            Err(reply) => reply,
        };
        self.respond_late(id, &reply, fx);
    }

    /// Fetches what a request names by URL, images first; then its run begins.
    pub(super) fn fetch_media(
        &mut self,
        id: ConnId,
        mut request: Request,
        http10: bool,
        fx: &mut Effects,
    ) -> Result<(), Reply> {
        if request.fetches.is_empty() {
            return self.complete(id, request, http10, fx);
        }
        // Files become turns in front, which would move the images' places.
        request.fetches.sort_by_key(|fetch| fetch.place == Place::File);
        request.fetches.reverse();
        let nonce = self.uuid();
        let fetching = Fetching { request, http10, nonce, exchange: None };
        self.fetch_next(id, Box::new(fetching), fx)
    }

    fn fetch_next(
        &mut self,
        id: ConnId,
        mut fetching: Box<Fetching>,
        fx: &mut Effects,
    ) -> Result<(), Reply> {
        let Some(next) = fetching.request.fetches.last() else {
            let Fetching { request, http10, .. } = *fetching;
            self.enough_images(&request)?;
            return self.complete(id, request, http10, fx);
        };
        let url = Url::parse(&next.url)
            .map_err(|_| invalid(400, "an image or file has an address that is none"))?;
        let media = self.media(&fetching.request, next.place);
        let fetch = FetchUrl {
            url,
            headers: Vec::new(),
            plain: 0,
            body: BodyBound { max: media.max_bytes, cut: false },
            timeout_ms: media.timeout_ms,
            redirects: media.max_redirects,
            reach: Reach { only: media.url_allowlist.clone(), ..Reach::default() },
            proxy: None,
            sink: None,
            purpose: Purpose::Media(id),
        };
        let path = media.path;
        let exchange = self.fetch_url(fetch, fx).map_err(|why| not_fetched(&why, path))?;
        fetching.exchange = Some(exchange);
        if let Some(http) = self.http(id) {
            http.doing = Doing::Fetch(fetching);
        }
        self.count_held(id);
        Ok(())
    }

    /// The section of the configuration that rules a part.
    fn media(&self, request: &Request, place: Place) -> &Media {
        let endpoints = &self.config.gateway.endpoints;
        match (&request.door, place) {
            (OfDoor::Chat { .. }, _) => &endpoints.chat_completions.images,
            (OfDoor::Responses { .. }, Place::Image { .. }) => &endpoints.responses.images,
            (OfDoor::Responses { .. }, Place::File) => &endpoints.responses.files,
        }
    }

    /// Images that came and images that were fetched, together.
    fn enough_images(&self, request: &Request) -> Result<(), Reply> {
        let OfDoor::Chat { .. } = request.door else { return Ok(()) };
        let most = self.config.gateway.endpoints.chat_completions.max_total_image_bytes;
        let parts = request.ask.turns.iter().flat_map(|turn| match turn {
            Turn::User(parts) | Turn::Assistant(parts) => parts.as_slice(),
            _ => &[],
        });
        let bytes: usize = parts
            .map(|part| match part {
                Part::Image { data, .. } => data.len() / 4 * 3,
                _ => 0,
            })
            .sum();
        if bytes <= most {
            return Ok(());
        }
        let key = "gateway.http.endpoints.chatCompletions.maxTotalImageBytes";
        Err(invalid(400, &format!("the images together are larger than {key}")))
    }

    /// Something was fetched, or could not be.
    pub(in crate::gateway) fn media_fetched(
        &mut self,
        id: ConnId,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let Some(http) = self.http(id) else { return };
        let Doing::Fetch(mut fetching) = std::mem::take(&mut http.doing) else { return };
        let Some(fetch) = fetching.request.fetches.pop() else { return };
        let media = self.media(&fetching.request, fetch.place);
        let max_chars = self.config.gateway.endpoints.responses.max_file_chars;
        let nonce = fetching.nonce.clone();
        let placed = match result {
            Err(why) => Err(not_fetched(&why, media.path)),
            Ok(response) if response.status != 200 => {
                let what = format!("an image or file was answered with {}", response.status);
                Err(invalid(400, &what))
            }
            Ok(response) => {
                let mime = response.headers.get("content-type");
                match fetch.place {
                    Place::Image { turn, part } => {
                        media::fetched_image(mime, &response.body, media)
                            .map(|image| put_image(&mut fetching.request, turn, part, image))
                    }
                    Place::File => {
                        let name = file_name(&fetch.url);
                        let about = About { mime, name, max_chars, nonce: &nonce };
                        media::fetched_file(&response.body, about, media)
                            .map(|text| fetching.request.ask.turns.insert(0, text))
                    }
                }
            }
        };
        let done = placed.and_then(|()| self.fetch_next(id, fetching, fx));
        match done {
            Ok(()) => self.count_held(id),
            Err(reply) => self.respond_late(id, &reply, fx),
        }
    }

    /// Answers a request whose turn of the loop is over; then a pipelined one may begin.
    pub(super) fn respond_late(&mut self, id: ConnId, reply: &Reply, fx: &mut Effects) {
        self.respond(id, reply, false, fx);
        self.serve_http(id, fx);
        self.count_held(id);
    }
}

fn put_image(request: &mut Request, turn: usize, part: usize, image: Part) {
    let parts = match request.ask.turns.get_mut(turn) {
        Some(Turn::User(parts) | Turn::Assistant(parts) | Turn::ToolResult { parts, .. }) => parts,
        _ => return,
    };
    if let Some(place) = parts.get_mut(part) {
        *place = image;
    }
}

/// The last part of a path.
fn file_name(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

fn failed(why: &ExchangeError) -> Reply {
    let status = match why {
        ExchangeError::Busy | ExchangeError::Memory => 503,
        ExchangeError::Timeout(_) => 504,
        _ => 502,
    };
    error(status, "api_error", &format!("the embeddings provider gave no answer: {why}"))
}

fn not_fetched(why: &ExchangeError, path: &str) -> Reply {
    match why {
        ExchangeError::Busy | ExchangeError::Memory => {
            error(503, "api_error", &why.to_string()).with("Retry-After", "1")
        }
        why => invalid(400, &format!("an image or file could not be fetched ({path}): {why}")),
    }
}
