"What a hand does in a page"

def drag(page, canvas, a, b):
    "From one place to another, (x, y) in shares of the canvas"
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    place = lambda p: (box['x'] + p[0]*box['width'], box['y'] + p[1]*box['height'])
    page.mouse.move(*place(a))
    page.mouse.down()
    page.mouse.move(*place(b), steps=4)
    page.mouse.up()

def centre(slot, n): return (slot % n + .5)/n, (slot//n + .5)/n
