package dev.clientela;

import com.google.protobuf.Message;
import dev.clientela.v1.CartFigures;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.WatchCartFiguresRequest;
import dev.clientela.v1.WatchCartFiguresResponse;
import io.grpc.Channel;
import java.util.function.BooleanSupplier;

/** Figures of the shop's open carts. A new connection begins with the figures as they are then. */
public final class Figures extends Following<CartFigures, Figures> {
    private final WatchCartFiguresRequest request;

    Figures(Channel channel, BooleanSupplier isShutdown, WatchCartFiguresRequest request) {
        super(channel, isShutdown, CartServiceGrpc.getWatchCartFiguresMethod(), Math.max(
                interval(request.hasHeartbeatInterval(), request.getHeartbeatInterval()),
                request.getMinInterval().getSeconds()));
        this.request = request;
    }

    @Override
    Message request() {
        return request;
    }

    @Override
    void take(Message message) {
        // A message that only announces the end of the stream has no figures.
        if (((WatchCartFiguresResponse) message).hasFigures()) {
            pending.add(((WatchCartFiguresResponse) message).getFigures());
        }
    }
}
