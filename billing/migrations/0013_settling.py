"""A Debit is `settling` from its settle until its answer is known to have been sent.

Safe beside the version before: it writes `settled` straight from `held`, which stays allowed, and calls
billing_give_back with three arguments, which keep their meaning.
"""

from pathlib import Path

from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models

HERE = Path(__file__).parent
SQL = (
    "DROP FUNCTION billing_give_back(uuid, timestamptz, boolean);\n"
    + (HERE / "0013_settling.sql").read_text(encoding="utf-8")
)  # fmt: skip

before = (HERE / "0003_quota_functions.sql").read_text(encoding="utf-8")
start, end = before.index("-- Gives the units of a held Debit"), before.index("-- History is append-only")
UNDO = f"""
DROP FUNCTION billing_give_back(uuid, timestamptz, boolean, text);
{before[start:end]}
UPDATE billing_debit SET state = 'settled' WHERE state = 'settling';
DROP TRIGGER final_state ON billing_debit;
CREATE TRIGGER final_state BEFORE UPDATE ON billing_debit FOR EACH ROW
    WHEN (OLD.state <> 'held')
    EXECUTE FUNCTION billing_refuse('a settled or returned debit stays so');
"""


class Migration(migrations.Migration):
    atomic = False  # indexes are built concurrently
    dependencies = [("billing", "0012_no_truncate")]
    operations = [
        migrations.AlterField(
            model_name="debit",
            name="state",
            field=models.CharField(
                choices=[
                    ("held", "预扣"), ("settling", "待确认"), ("settled", "已抵扣"), ("returned", "已退回"),
                ],
                max_length=8,
                verbose_name="状态",
            ),
        ),
        migrations.RemoveConstraint(model_name="debit", name="debit_state_agrees"),
        AddConstraintNotValid(
            model_name="debit",
            constraint=models.CheckConstraint(
                condition=models.Q(state="held", closed_at=None)
                | models.Q(state__in=["settling", "settled", "returned"], closed_at__isnull=False),
                name="debit_state_agrees",
            ),
        ),
        ValidateConstraint(model_name="debit", name="debit_state_agrees"),
        AddIndexConcurrently(
            model_name="debit",
            index=models.Index(
                fields=["hold_expires_at"],
                condition=models.Q(state__in=["held", "settling"]),
                name="debit_open_until",
            ),
        ),
        RemoveIndexConcurrently(model_name="debit", name="debit_held_until"),
        migrations.RunSQL(SQL, UNDO),
    ]  # fmt: skip
