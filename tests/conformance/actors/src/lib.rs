//! The fixture actors of the official RivetKit driver test-suite (its first tier), written with the SDK.
//!
//! Names, actions, events, options and errors are those of the original; `docs/compatibility.md` says where an actor of this host does
//! the same in another way. One component holds them all; the name under which it is deployed selects.

mod actions;
mod connections;
mod counters;
mod hibernation;
mod lifecycle;
mod queue;
mod queues;
mod raw;
mod schedule;
mod sleep;
mod waits;

use actions::*;
use connections::*;
use counters::*;
use hibernation::*;
use lifecycle::*;
use queue::*;
use raw::*;
use schedule::*;
use sleep::*;

growqr_actor_sdk::export!(
    AccessControlActor,
    AccessControlNoQueuesActor,
    AsyncActionActor,
    BeforeConnectGenericErrorActor,
    BeforeConnectRejectActor,
    BeforeConnectTimeoutActor,
    ConcurrentActionActor,
    ConnErrorSerializationActor,
    ConnPreflightVisibilityActor,
    ConnStateActor,
    Counter,
    CounterConn,
    CounterWithLifecycle,
    CounterWithParams,
    CustomTimeoutActor,
    DefaultTimeoutActor,
    DestroyAbortSignalActor,
    DestroyActor,
    DestroyObserver,
    DriverCtxActor,
    DynamicVarActor,
    ErrorHandlingActor,
    FileSystemHibernationCleanupActor,
    HibernationActor,
    HibernationSleepWindowActor,
    InputActor,
    KvActor,
    LargePayloadActor,
    LargePayloadConnActor,
    LifecycleObserver,
    LongTimeoutActor,
    ManyQueueActionParentActor,
    ManyQueueChildActor,
    ManyQueueRunParentActor,
    MetadataActor,
    NestedActionActor,
    NestedVarActor,
    OnStateChangeActor,
    PromiseActor,
    QueueActor,
    QueueLimitedActor,
    RawHttpActor,
    RawHttpHonoActor,
    RawHttpNoHandlerActor,
    RawHttpRequestPropertiesActor,
    RawHttpVoidReturnActor,
    RawWebSocketActor,
    RawWebSocketAsyncOpenActor,
    RawWebSocketBinaryActor,
    RawWebSocketConnContextActor,
    RejectConnectionActor,
    RequestAccessActor,
    RunIgnoresAbortStopTimeout,
    RunSelfInitiatedDestroy,
    RunSelfInitiatedSleep,
    RunWithEarlyExit,
    RunWithError,
    RunWithQueueConsumer,
    RunWithTicks,
    RunWithoutHandler,
    Scheduled,
    ScheduledDb,
    ShortTimeoutActor,
    Sleep,
    SleepRawWsAddEventListenerClose,
    SleepRawWsAddEventListenerMessage,
    SleepRawWsDelayedSendOnSleep,
    SleepRawWsOnClose,
    SleepRawWsOnMessage,
    SleepRawWsSendOnSleep,
    SleepWithLongRpc,
    SleepWithNoSleepOption,
    SleepWithRawHttp,
    SleepWithRawWebSocket,
    SleepWithWaitUntilInOnWake,
    SleepWithWaitUntilMessage,
    StartStopRaceActor,
    StateChangeRecursionActor,
    StateChangeReentrantMutationActor,
    StateZodCoercionActor,
    StatelessActor,
    StaticVarActor,
    SyncActionActor,
    SyncTimeoutActor,
    UniqueVarActor,
);
