/**
 * HTTP/1.1 with the servers of guests, by Netty's codec: one request, one answer, and what both may
 * not say. Knows nothing of how the bytes travel.
 */
@NullMarked
package dev.vireo.worker.http;

import org.jspecify.annotations.NullMarked;
