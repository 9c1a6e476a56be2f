//! Readiness: the edges that wait for their loops, and what each of them says.

use std::sync::atomic::Ordering;

use super::end::{Kind, Stream};
use super::world::{Machine, World, at};
use crate::kernel::{Readiness, Ready};

impl World {
    /// Something waits for a loop that will look at it.
    pub fn has_edges(&self) -> bool {
        let has_any = |machine: &Machine| {
            !machine.edges.is_empty() || !machine.signals.is_empty() || machine.woken.load(Ordering::SeqCst)
        };
        self.machines.iter().any(|machine| machine.runs && has_any(machine))
    }

    /// Something has changed at an end: its loop gets an edge, once, and in order.
    pub fn edge(&mut self, end: usize) {
        let Some(found) = self.ends.get_mut(end) else { return };
        let crashed = matches!(&found.kind, Kind::Stream(Stream { crashed: true, .. }));
        if found.token.is_some() && !found.has_edge && !crashed {
            found.has_edge = true;
            self.machines[found.machine].edges.push_back(end);
        }
    }

    /// Gives a machine its edges, each once.
    pub fn take_ready(&mut self, machine: usize, ready: &mut Vec<Ready>) {
        let spurious = self.conditions.spurious;
        if self.happens(spurious) {
            let end = self.random(self.ends.capacity() as u64) as usize;
            if self.ends.get(end).is_some_and(|found| found.machine == machine) {
                self.edge(end);
            }
        }
        ready.extend(self.machines[machine].signals.drain(..).map(Ready::Signal));
        if self.machines[machine].woken.swap(false, Ordering::SeqCst) {
            self.record.line(|| format!("{} a waker is used", at(self.now)));
        }
        let late = self.conditions.late;
        for end in std::mem::take(&mut self.machines[machine].edges) {
            if self.happens(late) {
                self.machines[machine].edges.push_back(end);
                continue;
            }
            let readiness = self.readiness(end);
            let name = self.name_if_traced(end);
            self.record.line(|| format!("{} {name} {}", at(self.now), readiness.words()));
            if let Some(stream) = self.stream_mut(end) {
                // As Linux does: a program that has seen that there is no room gets an edge when there is.
                stream.wants_room |= !readiness.writable;
            }
            if let Some(found) = self.ends.get_mut(end) {
                found.has_edge = false;
                if let Some(token) = found.token {
                    ready.push(Ready::Io { token, readiness });
                }
            }
        }
    }

    pub fn readiness(&self, end: usize) -> Readiness {
        let Some(found) = self.ends.get(end) else { return Readiness::default() };
        match &found.kind {
            Kind::Listener(listener) => Readiness { readable: !listener.waiting.is_empty(), ..Readiness::default() },
            Kind::Datagrams(datagrams) => Readiness { readable: datagrams.has_any(), ..Readiness::default() },
            Kind::Stream(stream) => {
                let over = stream.broken || (stream.ended && stream.shut);
                Readiness {
                    readable: !stream.inbox.is_empty() || stream.ended || stream.broken,
                    writable: stream.connected.is_some() && (self.room(stream) > 0 || stream.broken),
                    ended: stream.ended || stream.broken,
                    urgent: false,
                    hung_up: over || matches!(stream.connected, Some(Err(_))),
                }
            }
        }
    }

    /// How many bytes may be sent from here.
    pub fn room(&self, stream: &Stream) -> usize {
        match stream.peer.and_then(|peer| self.stream(peer)) {
            Some(peer) => self.conditions.buffer_of(peer).saturating_sub(peer.inbox.len() + peer.incoming),
            None => self.conditions.buffer,
        }
    }
}

impl Readiness {
    /// The words for it in a trace.
    fn words(self) -> String {
        let words = [
            (self.readable, " readable"),
            (self.writable, " writable"),
            (self.ended, " ended"),
            (self.hung_up, " hung up"),
        ];
        let words: String = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        format!("is{}", if words.is_empty() { " not ready" } else { &words })
    }
}
