/** What has become of microVMs of late, told from the changes of their conditions. */
@NullMarked
package dev.vireo.controller.event;

import org.jspecify.annotations.NullMarked;
