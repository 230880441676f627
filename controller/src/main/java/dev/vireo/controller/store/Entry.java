package dev.vireo.controller.store;

import com.google.protobuf.ByteString;

/**
 * A key with its value.
 *
 * @param version of the commit that wrote this value
 * @param createdVersion of the commit that made the key; a key that was deleted and made again has
 *     a new one
 */
public record Entry(String key, ByteString value, long version, long createdVersion) {}
