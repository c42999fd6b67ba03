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
import java.util.stream.Collectors;

/**
 * A call that failed. Decide by the code of {@link #getStatus} and by {@link #reason}, not by the text. The text has the
 * reason, or the code if there is none, and every violation, or the message of the server if there are none.
 */
public final class ClientelaException extends StatusRuntimeException {
    private static final long serialVersionUID = 1;

    private final transient String text;
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
        String reason = info.getReason().isEmpty() ? status.getCode().name() : info.getReason();
        text = reason + ": " + (violations.getFieldViolationsCount() == 0 ? status.getDescription()
                : violations.getFieldViolationsList().stream()
                        .map(field -> field.getField() + ": " + field.getDescription())
                        .collect(Collectors.joining("; ")));
    }

    /** The error of a client without a key, with the code and the reason that the server would give. */
    static ClientelaException withoutKey() {
        com.google.rpc.Status status = com.google.rpc.Status.newBuilder()
                .setCode(Status.Code.UNAUTHENTICATED.value())
                .setMessage("there is no API key: set one, or the environment variable CLIENTELA_API_KEY")
                .addDetails(Any.pack(ErrorInfo.newBuilder().setReason(ErrorReason.KEY_MISSING.name()).build()))
                .build();
        return of(StatusProto.toStatusRuntimeException(status));
    }

    @Override
    public String getMessage() {
        // The field is not part of a serialized exception.
        return text == null ? super.getMessage() : text;
    }

    /** Reads an exception that a stub has thrown. */
    public static ClientelaException of(StatusRuntimeException thrown) {
        return thrown instanceof ClientelaException read ? read
                : new ClientelaException(thrown.getStatus(), thrown.getTrailers());
    }

    /** Returns the reason of the contract; unspecified if the server did not answer. */
    public ErrorReason reason() {
        try {
            return ErrorReason.valueOf(info.getReason());
        } catch (IllegalArgumentException unknown) {
            return info.getReason().isEmpty()
                    ? ErrorReason.ERROR_REASON_UNSPECIFIED : ErrorReason.UNRECOGNIZED;
        }
    }

    /** Returns values that belong to the reason, for example {@code current_etag}. */
    public Map<String, String> metadata() {
        return info.getMetadataMap();
    }

    /** Returns all fields of the request that break a rule. */
    public List<BadRequest.FieldViolation> violations() {
        return violations.getFieldViolationsList();
    }

    /** Returns how long to wait before the next attempt, if the server says so. */
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
