"""The command line of `facecloud`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facecloud_client.i18n import say
from facecloud_client.request.batches import BATCH_IMAGES, MAX_IMAGES, MAX_PAIRS
from facecloud_client.version import VERSION


@dataclass
class Arguments:
    """The parsed command line; every command has every field."""

    command: str = ""
    inputs: list[str] = field(default_factory=list)
    url: str | None = None
    app_key: str | None = None
    json: bool = False
    draw: Path | None = None
    anchor: str | None = None
    pairs: Path | None = None
    batch: int = BATCH_IMAGES
    jobs: int = 2
    group: str = ""
    groups: list[str] = field(default_factory=list)
    person: str | None = None
    consent: str | None = None
    unique: bool = False
    top: int = 5


def parse(argv: Sequence[str] | None) -> Arguments:
    """Parse the command line. Exits with status 2 if it is invalid, as argparse does."""
    parser = _parser()
    arguments = parser.parse_args(argv, namespace=Arguments())
    if arguments.command == "compare":
        given = len(arguments.inputs)
        if arguments.pairs and (given or arguments.anchor):
            parser.error(
                say(
                    "--pairs 不能与图片或 --anchor 同用",
                    "--pairs cannot be combined with pictures or --anchor",
                )
            )
        if arguments.anchor and not given:
            parser.error(say("--anchor 需要至少一张图片或一个文件夹", "--anchor needs a picture or a folder"))
        if not arguments.pairs and not arguments.anchor and given != 2:
            parser.error(
                say("请给出两张图片，或使用 --anchor、--pairs", "give two pictures, --anchor or --pairs")
            )
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facecloud",
        description=say("人脸识别：检测、属性、比对。", "Face recognition: detect, analyse, compare."),
        epilog=say(
            "地址与密钥取自 FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY，其次是 var/demo.env。"
            "结果逐批输出；某张图片失败不影响其余。"
            "退出码：0 成功，1 部分图片失败，2 用法或文件，有请求被整个拒绝时 3 鉴权、4 配额、5 服务或网络。",
            "Address and keys come from FACECLOUD_URL, FACECLOUD_APP_KEY and FACECLOUD_SECRET_KEY, then from "
            "var/demo.env. Results are printed batch by batch; a picture that fails does not affect the "
            "others. Exit status: 0 success, 1 some pictures failed, 2 usage or file; "
            "if a whole request was rejected: 3 authentication, 4 quota, 5 service or network.",
        ),
    )
    parser.add_argument("--version", action="version", version=f"facecloud {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    pictures = say(
        "图片文件、文件夹、http(s) 地址，或 -（标准输入）", "picture, folder, http(s) URL, or - (stdin)"
    )
    for name, text in (
        ("detect", say("人脸检测定位：位置、关键点、概率", "boxes, landmarks, probabilities")),
        ("analyse", say("人脸属性识别：性别、年龄", "gender and age")),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("inputs", nargs="+", metavar="PICTURE", help=pictures)
        command.add_argument(
            "--draw",
            type=Path,
            metavar="OUT",
            help=say(
                "把框与关键点画到 OUT（一张图片：文件；多张：文件夹）",
                "write the picture with boxes and landmarks to OUT (a folder for several)",
            ),
        )
        _common(command, MAX_IMAGES, BATCH_IMAGES)
    text = say("人脸比对：是否同一人", "whether two faces are the same person")
    compare = commands.add_parser("compare", help=text, description=text)
    compare.add_argument("inputs", nargs="*", metavar="PICTURE", help=pictures)
    compare.add_argument(
        "--anchor",
        metavar="PICTURE",
        help=say("用这一张与其余每一张比对", "compare this picture with each of the others"),
    )
    compare.add_argument(
        "--pairs",
        type=Path,
        metavar="CSV",
        help=say("两列的 CSV 文件，每行一对", "a CSV file with two columns, one pair per line"),
    )
    _common(compare, MAX_PAIRS, MAX_PAIRS)  # by default, a request costs one unit for any number
    _gallery(commands, pictures)
    text = say(
        "检查连接、时钟、签名与余量（不计费）",
        "check connection, clock, signature and quota (free of charge)",
    )
    _connection(commands.add_parser("doctor", help=text, description=text))
    return parser


def _gallery(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", pictures: str) -> None:
    """Add the commands enrol and search."""
    words = say("人脸入库：文件夹里的图片", "enrol the pictures of a folder into the face gallery")
    enrol = commands.add_parser("enrol", help=words, description=words)
    enrol.add_argument(
        "inputs",
        nargs="+",
        metavar="FOLDER",
        help=say(
            "图片的文件夹；人员 ID 取自文件名（A-Z a-z 0-9 _ - .），zhang_1.jpg 与 zhang_2.jpg 都是 zhang。"
            "中断后再次运行会跳过已入库的图片",
            "folder of pictures; person ids are taken from file names (A-Z a-z 0-9 _ - .): zhang_1.jpg and "
            "zhang_2.jpg both show zhang. When run again after an interruption, it skips enrolled pictures",
        ),
    )
    enrol.add_argument(
        "--group",
        required=True,
        metavar="ID",
        help=say("人脸组，没有则新建", "the group; created if it is missing"),
    )
    enrol.add_argument(
        "--consent",
        required=True,
        metavar="REFERENCE",
        help=say("本人同意的记录编号", "the reference of the persons' consent"),
    )
    enrol.add_argument(
        "--person", metavar="ID", help=say("所有图片都是这一个人", "all pictures are of this person")
    )
    enrol.add_argument(
        "--unique",
        action="store_true",
        help=say("拒绝与组内其他人员相似的人脸", "reject a face that matches another person in the group"),
    )
    words = say("人脸搜索：图片里的人是谁", "find the persons of the face gallery in a picture")
    search = commands.add_parser("search", help=words, description=words)
    search.add_argument("inputs", nargs="+", metavar="PICTURE", help=pictures)
    search.add_argument(
        "--group",
        dest="groups",
        action="append",
        metavar="ID",
        help=say(
            "要搜索的组，可以多次，最多 10 个；默认全部",
            "group to search (repeatable, at most 10; default: all)",
        ),
    )
    search.add_argument(
        "--top",
        type=_Between(1, 100),
        metavar="N",
        help=say("每张人脸最多几人，默认 5", "maximum number of persons per face (default 5)"),
    )
    search.set_defaults(top=5)
    for command in (enrol, search):
        _connection(command)
        command.add_argument("--json", action="store_true", help=say("输出 JSON 行", "print lines of JSON"))
        command.add_argument(
            "--jobs",
            type=_Between(1, 16),
            metavar="N",
            help=say("同时进行的请求数，默认 2", "concurrent requests (default 2)"),
        )
        command.set_defaults(jobs=2)


def _common(command: argparse.ArgumentParser, most: int, default: int) -> None:
    _connection(command)
    command.add_argument(
        "--json",
        action="store_true",
        help=say(
            "每张图片（每对）输出一行 JSON：source 或 pair，以及 result 或 error",
            "one line of JSON per picture or pair: source or pair, and result or error",
        ),
    )
    command.add_argument(
        "--batch",
        type=_Between(1, most),
        metavar="N",
        help=say(
            f"每个请求的项数，1-{most}，默认 {default}", f"entries per request, 1-{most} (default {default})"
        ),
    )
    command.add_argument(
        "--jobs",
        type=_Between(1, 16),
        metavar="N",
        help=say("同时进行的请求数，默认 2", "concurrent requests (default 2)"),
    )
    command.set_defaults(batch=default, jobs=2)


def _connection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help=say("服务地址", "address of the service"))
    command.add_argument("--app-key", metavar="KEY", help="AppKey")


class _Between:
    """An argparse type: an integer within a range."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def __call__(self, text: str) -> int:
        if not text.isdigit() or not self.least <= int(text) <= self.most:
            message = say(
                f"应为 {self.least}-{self.most} 的整数", f"must be an integer, {self.least}-{self.most}"
            )
            raise argparse.ArgumentTypeError(message)
        return int(text)
