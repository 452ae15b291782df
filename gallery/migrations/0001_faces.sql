-- Keep the group's number of faces up to date, with one UPDATE for each statement that inserts or deletes faces.
CREATE FUNCTION gallery_count_faces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE gallery_group AS g SET faces = g.faces + changed.faces
          FROM (SELECT group_id, count(*) AS faces FROM changed_rows GROUP BY group_id) AS changed
         WHERE g.id = changed.group_id;
    ELSE
        UPDATE gallery_group AS g SET faces = g.faces - changed.faces
          FROM (SELECT group_id, count(*) AS faces FROM changed_rows GROUP BY group_id) AS changed
         WHERE g.id = changed.group_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON gallery_face REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION gallery_count_faces();
CREATE TRIGGER count_deleted AFTER DELETE ON gallery_face REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION gallery_count_faces();

-- A face belongs to the group of its person.
ALTER TABLE gallery_person ADD CONSTRAINT gallery_person_with_group UNIQUE (id, group_id);
ALTER TABLE gallery_face ADD CONSTRAINT gallery_face_in_group_of_person
    FOREIGN KEY (person_id, group_id) REFERENCES gallery_person (id, group_id) DEFERRABLE INITIALLY DEFERRED;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gallery_trailentry
    FOR EACH ROW EXECUTE FUNCTION accounts_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON gallery_trailentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_append_only();

-- Delete the note changes of a person together with the person, also without the ORM.
ALTER TABLE gallery_notechange ADD CONSTRAINT gallery_notechange_of_person
    FOREIGN KEY (person_id) REFERENCES gallery_person (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
