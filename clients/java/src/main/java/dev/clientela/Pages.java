package dev.clientela;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;

/** The iterator behind {@link Clientela#all}. */
final class Pages<Q extends Message, P extends Message, R> implements Iterator<R> {
    private final Function<Q, P> list;
    private final Function<P, List<R>> items;
    private Q request;
    private Iterator<R> page = Collections.emptyIterator();
    private boolean isLast;

    Pages(Function<Q, P> list, Q request, Function<P, List<R>> items) {
        this.list = list;
        this.request = request;
        this.items = items;
    }

    @Override
    public boolean hasNext() {
        while (!page.hasNext() && !isLast) {
            P answer = Clientela.call(() -> list.apply(request));
            page = items.apply(answer).iterator();
            turnTo((String) answer.getField(field(answer, "next_page_token")));
        }
        return page.hasNext();
    }

    @Override
    public R next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return page.next();
    }

    @SuppressWarnings("unchecked")
    private void turnTo(String token) {
        isLast = token.isEmpty();
        request = (Q) request.toBuilder().setField(field(request, "page_token"), token).build();
    }

    private static FieldDescriptor field(Message message, String name) {
        return message.getDescriptorForType().findFieldByName(name);
    }
}
