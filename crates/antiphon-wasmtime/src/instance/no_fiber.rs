//! Without the feature `async` every guest runs straight: no fiber ever exists.

use antiphon::Conversation;
use antiphon::errors::Error;
use wasmtime::{Instance as Wasm, InstancePre, Store, TypedFunc, UpdateDeadline};

use super::Guest;
use super::data::Data;

/// How a guest runs on a stack of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fiber {}

/// A guest that runs on a stack of its own.
pub(super) enum Resident {}

impl Fiber {
    pub(super) fn reside(self, _: Guest, _: &Conversation) -> Resident {
        match self {}
    }

    pub(super) async fn instantiate(
        self,
        _: &InstancePre<Data>,
        _: &mut Store<Data>,
    ) -> wasmtime::Result<Wasm> {
        match self {}
    }

    pub(super) async fn run(self, _: &TypedFunc<(), ()>, _: &mut Store<Data>) -> wasmtime::Result<()> {
        match self {}
    }

    pub(super) fn give_way(self) -> Option<UpdateDeadline> {
        match self {}
    }
}

impl Resident {
    pub(super) fn into_spare(self) -> Option<Box<Conversation>> {
        match self {}
    }

    pub(super) fn begin(&mut self, _: &mut Box<Conversation>) -> Option<Result<i32, Error>> {
        match *self {}
    }
}
