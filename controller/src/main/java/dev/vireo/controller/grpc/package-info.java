/** What every gRPC service here shares: typed errors and streams that wait for their reader. */
@NullMarked
package dev.vireo.controller.grpc;

import org.jspecify.annotations.NullMarked;
