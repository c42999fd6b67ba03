/**
 * A client of Clientela, beside the stubs of the contract in {@code dev.clientela.v1}. {@link
 * dev.clientela.Clientela} connects, {@link dev.clientela.ClientelaException} says why a call was refused,
 * and a {@link dev.clientela.Watch} tells {@link dev.clientela.Event}s for ever.
 */
package dev.clientela;
