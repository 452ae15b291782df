"""The product page (manual 1 and 2): functions, use cases and prices."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from billing import catalogue
from billing.models import Api, Duration

# The reply in the documentation's example (manual 4.2).
SAMPLE = """POST /api/v1/face_detect.json
Authorization: CTYUN <AppKey>:<Sign>

{"data": ["https://example.org/example.png"]}

HTTP/1.1 200 OK

{"code": 0, "message": "成功", "result": [{
  "face_list": [{
    "location": {"left": 142, "top": 73,
                 "width": 239, "height": 304},
    "face_probability": 0.971
  }],
  "pic_quality": 0
}]}"""


def product(request: HttpRequest) -> HttpResponse:
    order = {api: index for index, api in enumerate(Api.values)}  # a newer version may have more APIs
    skus = sorted(
        catalogue.skus_on_sale(), key=lambda sku: (order.get(sku.api, len(order)), sku.units_per_month)
    )
    context = {
        "skus": skus,
        "free": all(sku.price == 0 for sku in skus),
        "durations": Duration.objects.filter(is_active=True),
        "sample": SAMPLE,
        "nav": "product",
    }
    return render(request, "site/product.html", context)
