package dev.vireo.controller.session;

import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.Optional;
import java.util.function.Function;

/**
 * How the messages of a client's call travel in a tunnel.
 *
 * @param <Q> the call's requests
 * @param <R> its responses
 * @param up empty for what is no response of this call
 */
public record TunnelCodec<Q, R>(
    TunnelKind kind, Function<Q, TunnelDown> down, Function<TunnelUp, Optional<R>> up) {}
