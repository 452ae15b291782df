-- Writes one ended call and adds it to its hour: one round trip and, in a session, one plan. Recording a call for the
-- second time changes nothing.
-- Slots count from 0, as in faceapi/usage/histogram.py; arrays of PostgreSQL count from 1.
CREATE FUNCTION faceapi_record_call(
    p_id uuid, p_app bigint, p_app_key bigint, p_region bigint, p_api text, p_at timestamptz,
    p_code smallint, p_http_status smallint, p_images integer, p_units integer, p_body_bytes bigint,
    p_latency_ms integer, p_queue_ms integer, p_infer_ms integer, p_address inet, p_fault_index integer,
    p_slots integer, p_latency_slot integer, p_queue_slot integer, p_infer_slot integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    none integer[] := array_fill(0, ARRAY[p_slots]);
    in_latency integer[] := none;
    in_queue integer[] := none;
    in_infer integer[] := none;
BEGIN
    in_latency[p_latency_slot + 1] := 1;
    in_queue[p_queue_slot + 1] := 1;
    in_infer[p_infer_slot + 1] := 1;

    INSERT INTO faceapi_call (id, app_id, app_key_id, region_id, api, at, code, http_status, images, units,
        body_bytes, latency_ms, queue_ms, infer_ms, address, fault_index)
    VALUES (p_id, p_app, p_app_key, p_region, p_api, p_at, p_code, p_http_status, p_images, p_units,
        p_body_bytes, p_latency_ms, p_queue_ms, p_infer_ms, p_address, p_fault_index)
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    INSERT INTO faceapi_usagehour AS hour (app_id, region_id, api, hour, code, calls, images, units,
        latency_sum_ms, queue_sum_ms, infer_sum_ms, latency_histogram, queue_histogram, infer_histogram)
    VALUES (p_app, p_region, p_api, date_trunc('hour', p_at), p_code, 1, p_images, p_units,
        p_latency_ms, p_queue_ms, p_infer_ms, in_latency, in_queue, in_infer)
    ON CONFLICT (app_id, api, hour, code, region_id) DO UPDATE SET
        calls = hour.calls + 1,
        images = hour.images + excluded.images,
        units = hour.units + excluded.units,
        latency_sum_ms = hour.latency_sum_ms + excluded.latency_sum_ms,
        queue_sum_ms = hour.queue_sum_ms + excluded.queue_sum_ms,
        infer_sum_ms = hour.infer_sum_ms + excluded.infer_sum_ms,
        latency_histogram[p_latency_slot + 1] = hour.latency_histogram[p_latency_slot + 1] + 1,
        queue_histogram[p_queue_slot + 1] = hour.queue_histogram[p_queue_slot + 1] + 1,
        infer_histogram[p_infer_slot + 1] = hour.infer_histogram[p_infer_slot + 1] + 1;
END
$$;

-- Takes a call of code 0 out of the records and out of its hour, so that it can be recorded as it really ended.
-- Whether there was one. Slots count from 0, as above.
CREATE FUNCTION faceapi_unrecord_call(
    p_id uuid, p_latency_slot integer, p_queue_slot integer, p_infer_slot integer
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    call record;
    calls_left bigint;
    row_of_hour bigint;
BEGIN
    DELETE FROM faceapi_call WHERE id = p_id AND code = 0
    RETURNING app_id, api, region_id, at, images, units, latency_ms, queue_ms, infer_ms INTO call;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE faceapi_usagehour AS hour SET
        calls = calls - 1,
        images = images - call.images,
        units = units - call.units,
        latency_sum_ms = latency_sum_ms - call.latency_ms,
        queue_sum_ms = queue_sum_ms - call.queue_ms,
        infer_sum_ms = infer_sum_ms - call.infer_ms,
        latency_histogram[p_latency_slot + 1] = latency_histogram[p_latency_slot + 1] - 1,
        queue_histogram[p_queue_slot + 1] = queue_histogram[p_queue_slot + 1] - 1,
        infer_histogram[p_infer_slot + 1] = infer_histogram[p_infer_slot + 1] - 1
     WHERE (app_id, api, hour.hour, code, region_id)
           = (call.app_id, call.api, date_trunc('hour', call.at), 0, call.region_id)
    RETURNING hour.calls, hour.id INTO calls_left, row_of_hour;
    IF calls_left = 0 THEN
        DELETE FROM faceapi_usagehour WHERE id = row_of_hour;
    END IF;
    RETURN true;
END
$$;
