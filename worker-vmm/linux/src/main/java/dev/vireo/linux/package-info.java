/**
 * Linux system calls: {@link dev.vireo.linux.Libc} is the one interface to native code, {@link
 * dev.vireo.linux.Linux} the one place where errno becomes an exception. Everything else here is a
 * small owner of one kernel object: a descriptor, an eventfd, a socket that passes descriptors, a
 * process.
 */
@NullMarked
package dev.vireo.linux;

import org.jspecify.annotations.NullMarked;
