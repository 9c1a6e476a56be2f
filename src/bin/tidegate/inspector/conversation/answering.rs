//! What a request is answered: whole, or in pieces as the client reads them.

use std::rc::Rc;

use tidegate::{Net, Socket};

use super::super::figures;
use super::super::guard::Route;
use super::super::refusal::Refusal;
use super::super::request::{Method, Request};
use super::super::response::{self, Frame, Kind, Manner};
use super::super::table::{Table, Wanted};
use super::super::{Inspector, new_key};
use super::{Answer, Stage, close, next_turn, pulse, refuse, take_request};

const PAGE: &str = include_str!("../page.html");

pub(super) fn answer<S: 'static>(
    socket: &mut Socket<'_, S>,
    inspector: &Rc<Inspector>,
    route: Route,
    request: &Request,
) {
    match route {
        Route::Page => {
            let page = page(socket.net);
            match page {
                Ok((page, policy)) => {
                    let kind = Kind { content_type: "text/html; charset=utf-8", policy: &policy };
                    send_whole(socket, inspector, kind, request, &page);
                }
                Err(error) => {
                    log::debug!("inspector: {error}");
                    socket.destroy();
                }
            }
        }
        Route::Metrics => {
            let text = figures::prometheus(&inspector.look(socket.net, socket.state));
            send_whole(socket, inspector, Kind::METRICS, request, &text);
        }
        Route::Statistics => {
            let text = format!("{}\n", inspector.look(socket.net, socket.state).json());
            send_whole(socket, inspector, Kind::JSON, request, &text);
        }
        Route::Connections => match Wanted::of(request) {
            Some(wanted) => send_table(socket, inspector, request, wanted),
            None => refuse(socket, inspector, Refusal::QUERY, request.method != Method::Head),
        },
        Route::Events => pulse::listen(socket, inspector, request),
    }
}

/// The page may run its own script and style, which are named by a number of this answer, and fetch from here.
fn page(net: &mut Net) -> Result<(String, String), tidegate::Error> {
    let nonce = new_key(net)?;
    let page = PAGE.replacen("<script>", &format!("<script nonce=\"{nonce}\">"), 1);
    let page = page.replacen("<style>", &format!("<style nonce=\"{nonce}\">"), 1);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok((page, policy))
}

fn send_whole<S: 'static>(
    socket: &mut Socket<'_, S>,
    inspector: &Rc<Inspector>,
    kind: Kind<'_>,
    request: &Request,
    body: &str,
) {
    let text = response::whole("200 OK", kind, request, body);
    inspector.enter(socket.net, socket.id(), Stage::Answering(Answer { rest: None, stays: request.stays }));
    if socket.write(text) {
        go_on(socket, inspector);
    }
}

fn send_table<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, request: &Request, wanted: Wanted) {
    let manner = Manner::in_pieces(request);
    let kind = if request.wants_text { Kind::TEXT } else { Kind::JSON };
    let rest = manner.has_body.then(|| (Table::of(socket.net, wanted), manner.frame));
    // Where the end of the connection is the end of the body, none can follow.
    let stays = manner.stays && manner.frame != Frame::UntilClose;
    inspector.enter(socket.net, socket.id(), Stage::Answering(Answer { rest, stays }));
    if socket.write(response::head("200 OK", kind, manner)) {
        go_on(socket, inspector);
    }
}

/// Goes on with an answer: to be called when what was written before is below the mark. A piece in a turn.
pub(super) fn go_on<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>) {
    enum Next {
        Piece(String),
        Over(bool),
    }

    let id = socket.id();
    let net = &*socket.net;
    let next = inspector.conversation(id, |it| {
        let Stage::Answering(answer) = &mut it.stage else { return None };
        Some(match &mut answer.rest {
            None => Next::Over(answer.stays),
            Some((table, frame)) => match table.next_piece(net) {
                Some(text) => Next::Piece(response::piece(*frame, &text)),
                None => {
                    let last = response::piece(*frame, "");
                    answer.rest = None;
                    Next::Piece(last)
                }
            },
        })
    });
    match next.flatten() {
        None => {}
        Some(Next::Piece(text)) => {
            let is_below_the_mark = socket.write(text);
            if is_below_the_mark {
                next_turn(socket, inspector, go_on);
            }
        }
        Some(Next::Over(stays)) => is_answered(socket, inspector, stays),
    }
}

fn is_answered<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, stays: bool) {
    if !stays {
        return close(socket, inspector, "");
    }
    inspector.enter(socket.net, socket.id(), Stage::Idle);
    next_turn(socket, inspector, take_request);
}
