package dev.clientela;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.clientela.v1.ErrorReason;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Why the server refused, or could not be reached. As a {@link StatusRuntimeException} it also has code
 * and text.
 */
public final class ClientelaException extends StatusRuntimeException {
    private static final long serialVersionUID = 1;

    private final transient ErrorInfo info;
    private final transient BadRequest violations;
    private final transient RetryInfo retry;

    ClientelaException(Status status, Metadata trailers) {
        super(status, trailers);
        Map<String, Any> details = new HashMap<>();
        com.google.rpc.Status whole = StatusProto.fromStatusAndTrailers(status, trailers);
        whole.getDetailsList().forEach(detail -> details.put(detail.getTypeUrl(), detail));
        info = detail(details, ErrorInfo.getDefaultInstance());
        violations = detail(details, BadRequest.getDefaultInstance());
        retry = detail(details, RetryInfo.getDefaultInstance());
    }

    /** Reads what a stub has thrown. */
    public static ClientelaException of(StatusRuntimeException thrown) {
        return thrown instanceof ClientelaException read ? read
                : new ClientelaException(thrown.getStatus(), thrown.getTrailers());
    }

    /** What to switch on; unspecified if the server did not say, as when there is none. */
    public ErrorReason reason() {
        try {
            return ErrorReason.valueOf(info.getReason());
        } catch (IllegalArgumentException unknown) {
            return info.getReason().isEmpty()
                    ? ErrorReason.ERROR_REASON_UNSPECIFIED : ErrorReason.UNRECOGNIZED;
        }
    }

    /** What saves a read: {@code current_etag}, {@code open_cart} and the like. */
    public Map<String, String> metadata() {
        return info.getMetadataMap();
    }

    /** The fields that break their rules, all of them. */
    public List<BadRequest.FieldViolation> violations() {
        return violations.getFieldViolationsList();
    }

    /** When to try again, if the server said so. */
    public Optional<Duration> retryAfter() {
        return retry.hasRetryDelay()
                ? Optional.of(Duration.ofSeconds(
                        retry.getRetryDelay().getSeconds(), retry.getRetryDelay().getNanos()))
                : Optional.empty();
    }

    @SuppressWarnings("unchecked")
    private static <D extends Message> D detail(Map<String, Any> details, D none) {
        Any detail = details.get("type.googleapis.com/" + none.getDescriptorForType().getFullName());
        try {
            return detail == null ? none : (D) none.getParserForType().parseFrom(detail.getValue());
        } catch (InvalidProtocolBufferException malformed) {
            return none;
        }
    }
}
