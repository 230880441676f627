/**
 * The resolver of guests with a routed network, and how a name becomes an address that a guest may
 * reach: a question for a name of its policy goes to the node's resolvers, and before the guest has
 * the answer, the packet filter lets it go where that leads. Other questions go nowhere.
 *
 * <p>A name that no rule names is answered NXDOMAIN with the extended error "Prohibited" (RFC
 * 8914), not REFUSED: musl does not count a refusal as an answer, and its programs would wait ten
 * seconds for each. It has no SOA record, so nobody remembers it (RFC 2308, section 5).
 */
@NullMarked
package dev.vireo.worker.network.dns;

import org.jspecify.annotations.NullMarked;
